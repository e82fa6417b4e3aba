/** The version in package.json, which stands above dist/cli/ in the package and above cli/ in the sources. */
import { existsSync, readFileSync } from 'node:fs';

interface Manifest {
  readonly name: string;
  readonly version: string;
}

/** As npm knows it: `0.1.0`. */
export function version(): string {
  for (const path of ['../../package.json', '../package.json']) {
    const place = new URL(path, import.meta.url);
    if (!existsSync(place)) continue;
    const manifest = JSON.parse(readFileSync(place, 'utf8')) as Manifest;
    if (manifest.name === 'framewalk') return manifest.version;
  }
  throw new Error('package.json is missing from the installation');
}
