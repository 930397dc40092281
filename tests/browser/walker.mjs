/**
 * What the walks have in common: a real Chromium, a line per check, and laws that hold for each view.
 *
 *   BASE_URL   where the page is
 *   TOKEN      its token
 *   PATIENCE   how many seconds anything may take to be seen; else 30
 *   CHROMIUM   the browser; else /usr/bin/chromium
 *   SHOTS      a folder for screenshots of each view; else none are taken
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const { BASE_URL, TOKEN, SHOTS } = process.env;
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const PATIENCE = Number(process.env.PATIENCE ?? 30) * 1000;
const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SERIOUS = ['serious', 'critical'];

if (!BASE_URL || !TOKEN) {
  console.error('BASE_URL and TOKEN must be set: where the page is, and its token.');
  process.exit(2);
}

const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
export const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' });
page.setDefaultTimeout(PATIENCE);
/** What the browser had to complain of. */
export const complaints = [];
page.on('pageerror', (error) => complaints.push(error.message));
page.on('console', (message) => {
  // A refused token and a cut connection are part of the walk; the browser reports each as a failed load.
  if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) complaints.push(message.text());
});

export async function check(law, body) {
  try {
    const more = await body();
    console.log(`ok    ${law}${more ? ` (${more})` : ''}`);
  } catch (error) {
    console.log(`FAIL  ${law}\n${error.message}`);
    if (SHOTS) await page.screenshot({ path: join(SHOTS, 'failed.png') }).catch(() => {});
    await browser.close();
    process.exit(1);
  }
}

export function hold(truth, what) {
  if (!truth) throw new Error(what);
}

export async function until(what, ask) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await ask();
    if (found) return found;
    hold(Date.now() < end, `not seen within ${PATIENCE / 1000} s: ${what}`);
    await page.waitForTimeout(100);
  }
}

export const go = async (hash, seen) => {
  await page.evaluate((to) => { location.hash = to; }, hash);
  await page.locator(seen).first().waitFor();
};
export const button = (name) => page.getByRole('button', { name });
export const rows = () => page.locator('table.log tbody tr');
export const column = (nth) => page.locator(`table.log tbody td:nth-child(${nth})`).allInnerTexts();
export const focused = (ask) => page.evaluate(`(() => { const it = document.activeElement; return ${ask}; })()`);
export const settled = () => page.waitForLoadState('networkidle');

/** Press Tab until `ask`, of the element `it` that has the focus, is true. Each stop on the way must be seen. */
export async function tabTo(ask, most = 80) {
  for (let presses = 0; presses < most; presses += 1) {
    await page.keyboard.press('Tab');
    const outline = await focused('it === document.body ? "body" : getComputedStyle(it).outlineStyle');
    hold(outline !== 'none', `no visible focus on ${await focused('it.outerHTML.slice(0, 120)')}`);
    if (await focused(ask)) return presses + 1;
  }
  throw new Error(`not reached with ${most} presses of Tab: ${ask}`);
}

export async function accessible(view) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await check(`axe finds no serious fault: ${view}, ${colorScheme}`, async () => {
      await page.evaluate(AXE);
      const { violations } = await page.evaluate('axe.run(document)');
      const serious = violations.filter(({ impact }) => SERIOUS.includes(impact));
      hold(!serious.length, serious.map(({ id, nodes }) => `${id}: ${nodes[0].html}\n  ${nodes[0].failureSummary}`).join('\n'));
    });
    if (SHOTS) await page.screenshot({ path: join(SHOTS, `${view.replaceAll(' ', '-')}-${colorScheme}.png`) });
  }
  await page.emulateMedia({ colorScheme: 'light' });
}

/** The page itself must not scroll sideways on the narrowest screens. */
export async function narrow(view) {
  await check(`fits 320 pixels: ${view}`, async () => {
    const wide = page.viewportSize();
    await page.setViewportSize({ width: 320, height: 700 });
    const over = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
    await page.setViewportSize(wide);
    hold(over <= 0, `${over} pixels too wide`);
  });
}

export const card = (name) => page.locator('article', { has: page.getByRole('heading', { name, exact: true }) });

export const end = () => browser.close();
