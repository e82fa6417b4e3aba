/**
 * report.html in a real browser: accessible, complete without JavaScript, without a request, and with every label readable, in light and dark,
 * wide and narrow.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { reportHtml } from '../../reports/html/page.js';
import { sampleMetrics, sampleRun } from '../reports/sample-run.js';
import { sampleVerification } from '../reports/sample-verification.js';
import { browserSuite, findChromium, leftOut } from './chromium.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const LOOKS = [
  ['light', 1400],
  ['light', 400],
  ['dark', 1400],
  ['dark', 400],
] as const;

let dir = '';
const url = (name: string): string => pathToFileURL(join(dir, `${name}.html`)).href;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'framewalk-report-'));
  writeFileSync(join(dir, 'two.html'), reportHtml(sampleRun({ points: 60 }), sampleMetrics));
  writeFileSync(join(dir, 'small.html'), reportHtml(sampleRun({ traces: 1, points: 3, memoryMiB: 16, pmms: ['buddy'] }), sampleMetrics));
  const many = ['bitmap', 'free-stack', 'buddy', 'buddy-pcp', 'llfree', 'bitmap-first-fit', 'another', 'one-more', 'the-ninth'];
  writeFileSync(join(dir, 'many.html'), reportHtml(sampleRun({ traces: 1, points: 60, pmms: many }), sampleMetrics));
  writeFileSync(join(dir, 'traces.html'), reportHtml(sampleRun({ traces: 8, points: 30, pmms: ['bitmap', 'buddy'] }), sampleMetrics));
  const run = sampleRun({ traces: 2, points: 30, pmms: ['buddy'] });
  const verified = { ...run, cells: run.cells.map((cell) => ({ ...cell, verification: sampleVerification })) };
  writeFileSync(join(dir, 'verified.html'), reportHtml(verified, sampleMetrics));
  writeFileSync(join(dir, 'large.html'), reportHtml(sampleRun({ traces: 3, points: 60, memoryMiB: 65536 }), sampleMetrics));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function open(browser: Browser, name: string, options: BrowserContextOptions): Promise<Page> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  await page.goto(url(name));
  return page;
}

/** The page with everything shown: all traces, all details. */
async function everything(browser: Browser, name: string, colorScheme: 'light' | 'dark', width: number): Promise<Page> {
  const page = await open(browser, name, { viewport: { width, height: 900 }, colorScheme, bypassCSP: true });
  const all = page.locator('#pick-all');
  if ((await all.count()) > 0) await all.check({ force: true });
  await page.evaluate('document.querySelectorAll("details").forEach((d) => { d.open = true; })');
  return page;
}

/** Texts of charts that stick out of their drawing or the window, or that cover each other. Runs in the page. */
const LABELS = `(() => {
  const wrong = [];
  for (const svg of document.querySelectorAll('svg.ch')) {
    const own = svg.getBoundingClientRect();
    if (own.width === 0) continue;
    const where = (svg.closest('section')?.id ?? '') + ' ' + (svg.closest('.sm')?.querySelector('h4')?.textContent ?? '');
    const texts = [...svg.querySelectorAll('text')].map((t) => ({ text: t.textContent, box: t.getBoundingClientRect() }));
    texts.forEach(({ text, box }, i) => {
      const out = box.left < -1 || box.right > innerWidth + 1 || box.left < own.left - 3 || box.right > own.right + 4 || box.top < own.top - 3 || box.bottom > own.bottom + 3;
      if (out) wrong.push(where + ': "' + text + '" sticks out');
      for (const other of texts.slice(i + 1)) {
        const width = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
        const height = Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top);
        if (width > 1 && height > 4) wrong.push(where + ': "' + text + '" covers "' + other.text + '"');
      }
    });
  }
  return wrong;
})()`;

const VIOLATIONS = `axe.run(document, { resultTypes: ['violations'] }).then((r) => r.violations.map((v) => v.id + ': ' + v.nodes.map((n) => n.html.slice(0, 200)).join(' | ')))`;

const UNREAD = `[...document.querySelectorAll('svg.ch')].filter((s) => !s.getAttribute('aria-label')).length`;

browserSuite('report.html', [
  ...LOOKS.map(
    ([scheme, width]) =>
      [
        `breaks no rule of axe and needs no sideways scrolling (${scheme}, ${width} px)`,
        async (browser: Browser) => {
          const page = await everything(browser, 'two', scheme, width);
          // One trace after the other in turn: both take twice as long and are built alike.
          await page.locator(scheme === 'light' ? '#pick-0' : '#pick-1').check({ force: true });
          await page.evaluate(AXE);
          const violations = await page.evaluate(
            'axe.run().then((r) => r.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.html.slice(0, 200)).join(" | ")))',
          );
          expect(violations).toEqual([]);
          expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
          expect(await page.evaluate(UNREAD)).toBe(0);
          await page.context().close();
        },
      ] as const,
  ),
  [
    'needs no sideways scrolling with eight traces to pick from (400 px)',
    async (browser: Browser) => {
      const page = await everything(browser, 'traces', 'light', 400);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(400);
      await page.context().close();
    },
  ],
  ...['two', 'small', 'many', 'large', 'verified'].flatMap((name) =>
    [1400, 700, 400].map(
      (width) =>
        [
          `has no label that is cut off or covered (${name}, ${width} px)`,
          async (browser: Browser) => {
            const page = await everything(browser, name, 'light', width);
            expect(await page.evaluate(LABELS)).toEqual([]);
            expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
            await page.context().close();
          },
        ] as const,
    ),
  ),
  [
    'would notice labels and rules that are broken',
    async (browser) => {
      const page = await open(browser, 'small', { bypassCSP: true });
      const first = '(() => { const t = document.querySelector("svg.ch text"); t.after(t.cloneNode(true)); t.setAttribute("x", "-90"); })()';
      await page.evaluate(first);
      expect(await page.evaluate(LABELS)).toContainEqual(expect.stringContaining('sticks out'));
      await page.evaluate('(() => { const t = document.querySelector("svg.ch text"); t.after(t.cloneNode(true)); })()');
      expect(await page.evaluate(LABELS)).toContainEqual(expect.stringContaining('covers'));
      await page.evaluate('document.body.append(document.createElement("img"))');
      await page.evaluate(AXE);
      expect(await page.evaluate(VIOLATIONS)).toContainEqual(expect.stringContaining('image-alt'));
      await page.context().close();
    },
  ],
  [
    'sends no request and reports no error',
    async (browser) => {
      const context = await browser.newContext();
      const page = await context.newPage();
      const requests: string[] = [];
      const errors: string[] = [];
      page.on('request', (request) => requests.push(request.url()));
      page.on('console', (message) => errors.push(message.text()));
      page.on('pageerror', (error) => errors.push(error.message));
      await page.goto(url('two'));
      await page.hover('#memory svg[data-t]');
      expect(requests.filter((request) => !request.startsWith('data:'))).toEqual([url('two')]);
      expect(errors).toEqual([]);
      await context.close();
    },
  ],
  [
    'is complete without JavaScript',
    async (browser) => {
      const page = await open(browser, 'two', { javaScriptEnabled: false });
      const sections = await page.locator('section h2').allTextContents();
      expect(sections).toHaveLength(14);
      const first = page.locator('.tr-0 svg.ch');
      expect(await first.count()).toBeGreaterThan(20);
      expect(await page.locator('#memory .tr-0').isVisible()).toBe(true);
      expect(await page.locator('#memory .tr-1').isVisible()).toBe(false);
      await page.locator('#pick-1').check({ force: true });
      expect(await page.locator('#memory .tr-0').isVisible()).toBe(false);
      expect(await page.locator('#memory .tr-1').isVisible()).toBe(true);
      await page.context().close();
    },
  ],
  [
    'prints every trace, light whatever the screen prefers',
    async (browser) => {
      const page = await open(browser, 'two', { colorScheme: 'dark' });
      expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(19, 21, 24)');
      await page.emulateMedia({ media: 'print' });
      expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(255, 255, 255)');
      expect(await page.locator('#memory .tr-0').isVisible()).toBe(true);
      expect(await page.locator('#memory .tr-1').isVisible()).toBe(true);
      await page.context().close();
    },
  ],
  [
    'moves one cursor through all charts of the trace and reads out what is there',
    async (browser) => {
      const page = await open(browser, 'two', { viewport: { width: 1400, height: 900 } });
      const chart = page.locator('#memory .tr-0 svg[data-t]').first();
      await chart.scrollIntoViewIfNeeded();
      const box = await chart.boundingBox();
      if (box === null) throw new Error('the chart is not shown');
      await page.mouse.move(box.x + box.width * 0.5, box.y + box.height * 0.5);
      const text = await page.locator('#ro').textContent();
      expect(text).toMatch(/server-mix · bitmap · event [\d\s]+ · anonymous [\d.]+\s[KM]iB · file .* · free, whole 2 MiB [\d.]+\s[KMG]iB · free, broken/);
      expect(await page.locator('.cur').count()).toBe(await page.locator('svg[data-t="0"]').count());
      await page.mouse.move(2, 2);
      expect(await page.locator('#ro').count()).toBe(0);
      expect(await page.locator('.cur').count()).toBe(0);
      await page.context().close();
    },
  ],
  [
    'can be used with the keyboard: trace picker and scrolling tables take the focus',
    async (browser) => {
      const page = await open(browser, 'two', { viewport: { width: 400, height: 800 } });
      await page.locator('#pick-0').focus();
      await page.keyboard.press('ArrowRight');
      expect(await page.locator('#pick-1').isChecked()).toBe(true);
      const scrolling = await page.evaluate('[...document.querySelectorAll(".scroll")].every((s) => s.tabIndex === 0 && s.getAttribute("aria-label"))');
      expect(scrolling).toBe(true);
      await page.context().close();
    },
  ],
]);

describe('where there is no browser', () => {
  it('finds one by environment and PATH, or says there is none', () => {
    expect(findChromium({ PATH: '/nowhere' })).toBe(null);
    expect(findChromium({ PATH: '', CHROMIUM: process.execPath })).toBe(process.execPath);
  });

  it('says which tests it leaves out, and why', () => {
    const text = leftOut('suite', [
      ['first', () => Promise.resolve()],
      ['second', () => Promise.resolve()],
    ]);
    expect(text).toMatch(/^LEFT OUT: 2 browser tests, because no Chromium was found/);
    expect(text).toContain('suite: first');
    expect(text).toContain('suite: second');
  });
});
