/**
 * A real browser for the tests of the report. Where there is none, the suite says loudly what it left out and why, and passes: the report is
 * tested without a browser too, and continuous integration installs one.
 */
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, it } from 'vitest';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome', 'msedge'];
const PLACES = ['/Applications/Google Chrome.app/Contents/MacOS/Google Chrome', '/Applications/Chromium.app/Contents/MacOS/Chromium'];

/** Path of a Chromium on this machine: $CHROMIUM, else the first on the PATH or in a usual place; null when there is none. */
export function findChromium(env: NodeJS.ProcessEnv = process.env): string | null {
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const candidates = [env['CHROMIUM'] ?? '', ...folders.flatMap((folder) => NAMES.map((name) => join(folder, name))), ...PLACES];
  return candidates.find((path) => path !== '' && existsSync(path)) ?? null;
}

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export type BrowserTest = readonly [title: string, run: (browser: Browser) => Promise<void>];

/** What is said when there is no browser. */
export function leftOut(name: string, tests: readonly BrowserTest[]): string {
  const list = tests.map(([title]) => `  - ${name}: ${title}`).join('\n');
  return `LEFT OUT: ${tests.length} browser tests, because no Chromium was found (install it, or name it in $CHROMIUM):\n${list}`;
}

/** A suite of tests that need a browser. */
export function browserSuite(name: string, tests: readonly BrowserTest[], executablePath: string | null = findChromium()): void {
  describe(name, () => {
    if (executablePath === null) {
      it(`is left out: no Chromium on this machine (${tests.length} tests)`, () => console.warn(leftOut(name, tests)));
      return;
    }
    let browser: Browser | null = null;
    beforeAll(async () => {
      browser = await chromium.launch({ executablePath, args: FLAGS });
    });
    afterAll(async () => {
      await browser?.close();
    });
    it.each(tests)('%s', async (_, run) => {
      if (browser === null) throw new Error('the browser did not start');
      await run(browser);
    });
  });
}
