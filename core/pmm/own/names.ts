/** Which names of a PMM are files of the user's. */
import { extname } from 'node:path';

/** What the name of such a file ends with. */
export const OWN_EXTENSIONS: readonly string[] = ['.wasm', '.js', '.mjs', '.ts', '.mts'];

/** Whether a PMM's name is meant as a file. */
export const isOwnFile = (name: string): boolean => /[/\\]/.test(name) || OWN_EXTENSIONS.includes(extname(name));
