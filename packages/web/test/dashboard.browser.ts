/** The operator's pages in Chromium, over a real coordinator with real clients: what they show, for whom, and how they behave. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openLocalPages } from '../../headwater/src/coordinator/local-pages.ts';
import { parseInvitation } from '../../headwater/src/federation/wire/join-token.ts';
import { run } from '../../headwater/src/simulation/run.ts';
import { smallRun } from '../../headwater/test/support/small-run.ts';
import { findings } from './support/axe.ts';
import { launchChromium } from './support/chromium.ts';
import { openScene, type Scene } from './support/dashboard-scene.ts';
import { codeSizes, noteCode } from './support/page-code.ts';

const dist = join(import.meta.dirname, '../dist');

let browser: Browser;
let scene: Scene;
let context: BrowserContext;
let page: Page;
/** What must not happen on any page: errors, refusals of the content policy, requests to another origin. */
const complaints: string[] = [];
const code = new Set<string>();

beforeAll(async () => {
  [browser, scene] = await Promise.all([launchChromium(), openScene(dist)]);
  await scene.finish('done', ['federation.rounds=3']);
  await scene.begin('live', ['federation.rounds=40'], 4);
  await scene.wait('next');
  context = await browser.newContext({ reducedMotion: 'reduce' });
  page = await context.newPage();
  watch(page, scene.server.adminUrl);
}, 180_000);

afterAll(async () => {
  await browser?.close();
  await scene?.close();
});

function watch(watched: Page, origin: string): void {
  noteCode(watched, code);
  watched.on('pageerror', (error) => complaints.push(error.message));
  watched.on('console', (message) => {
    const expected = /status of (400|401|404)/.test(message.text());
    if (message.type() === 'error' && !expected) complaints.push(message.text());
  });
  watched.on('request', (request) => {
    if (!request.url().startsWith(origin)) complaints.push(`a request to ${request.url()}`);
  });
}

async function open(hash: string, ready: string): Promise<void> {
  await page.goto(`${scene.server.adminUrl}/${hash}`);
  await page.locator(ready).first().waitFor();
}

test('a wrong token is refused with a reason, the right one opens the runs, and no token stays anywhere', async () => {
  await open('', '#token');
  expect(await findings(page)).toEqual([]);
  await page.getByLabel('Admin token').fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('alert').getByText('this is not the admin token').waitFor();
  await page.getByLabel('Admin token').fill(scene.server.adminToken);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Runs' }).waitFor();
  expect(
    await page.evaluate(() => JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])),
  ).not.toContain(scene.server.adminToken);
  await page.reload();
  await page.getByRole('heading', { level: 1, name: 'Runs' }).waitFor();
});

const PAGES = [
  ['runs', '#/', '.cards h2'],
  ['overview', '#/runs/done', '.chart canvas'],
  ['rounds', '#/runs/live/rounds', 'tbody tr'],
  ['clients', '#/runs/live/clients', 'tbody tr'],
  ['recipe', '#/runs/done/recipe', 'pre'],
  ['journal', '#/runs/live/journal', 'tbody tr'],
  ['files', '#/runs/done/files', 'tbody tr'],
  ['a run that waits', '#/runs/next', '.empty'],
  ['invite', '#/runs/next/invite', 'form'],
  ['compare', '#/compare?runs=done,live', '.chart canvas'],
  ['new run', '#/new', '.right'],
  ['nothing', '#/nowhere', '.empty'],
  ['no such run', '#/runs/nope', '[role=alert]'],
] as const;

describe.each([
  ['light, wide', { width: 1280, height: 800 }, 'light'],
  ['dark, phone', { width: 360, height: 740 }, 'dark'],
] as const)('%s', (_, size, colorScheme) => {
  test.each(PAGES)(
    '%s: one heading, nothing serious for axe, nothing wider than the screen',
    async (_name, hash, ready) => {
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme });
      await open(hash, ready);
      expect(await page.locator('h1').count()).toBe(1);
      expect(await findings(page)).toEqual([]);
      const [wide, most] = await page.evaluate(() => [
        document.documentElement.scrollWidth,
        window.innerWidth,
      ]);
      expect(wide).toBeLessThanOrEqual(most!);
    },
  );
});

test('rounds appear as they happen, with who sent what and why something was refused', async () => {
  await page.setViewportSize({ width: 1280, height: 800 });
  await open('#/runs/live/clients', 'tbody tr');
  const dan = page.getByRole('row', { name: /dan/ });
  expect(await dan.textContent()).toMatch(/quarantined.*refused \(wrong-base\)/);
  await open('#/runs/live/rounds', 'tbody tr');
  const before = await page.locator('tbody > tr').count();
  await scene.goOn('live', before + 2);
  await page.getByRole('button', { name: `Updates of round ${before + 1}`, exact: true }).waitFor();
  await page.getByRole('button', { name: 'Updates of round 1', exact: true }).click();
  const updates = page.getByRole('region', { name: 'Updates of round 1' });
  expect(await updates.getByRole('row', { name: /^dan/ }).textContent()).toContain('refused: wrong-base');
  expect(await updates.getByRole('row', { name: /^ann/ }).textContent()).toMatch(/accepted\d/);
  // Ben's policy lets no figure leave.
  expect(await updates.getByRole('row', { name: /^ben/ }).textContent()).toMatch(/acceptednot told/);
});

test('a form field changes the text and keeps its comments; a mistake is told at its field and its line', async () => {
  await open('#/new', '.right');
  await page.getByLabel('Start from').selectOption('quickstart');
  const text = page.locator('#text');
  await page.locator('summary', { hasText: /^Federation/ }).click();
  const rounds = page.getByLabel('Rounds (required)', { exact: true });
  await rounds.fill('0');
  await rounds.blur();
  await page
    .locator('#mistakes')
    .getByText(/line \d+: federation\.rounds: expected a whole number > 0/)
    .waitFor();
  expect(await rounds.getAttribute('aria-invalid')).toBe('true');
  expect(await page.getByRole('button', { name: 'Begin the run' }).isDisabled()).toBe(true);
  await rounds.fill('7');
  await rounds.press('Enter');
  await page.getByText('No mistakes.').waitFor();
  expect(await text.inputValue()).toMatch(/^# Ten data owners[\s\S]*rounds: 7/);
  await text.fill('a: [1');
  await page.getByText('The text cannot be read at present').waitFor();
});

test('a run begins from a text; its invitation is a link that a client understands', async () => {
  // Another address behind `#` alone would keep what was written before.
  await page.goto('about:blank');
  await open('#/new', '.right');
  const recipe = await scene.server.operator.recipe('next');
  await page.locator('#text').fill(JSON.stringify({ ...(recipe as object), name: 'from-page' }));
  await page.getByText('No mistakes.').waitFor();
  await page.getByRole('button', { name: 'Begin the run' }).click();
  await page.getByRole('heading', { level: 1, name: 'from-page: Invite' }).waitFor();
  await page.getByLabel('Name of the owner').fill('clinic-north');
  await page.getByRole('button', { name: 'Make an invitation' }).click();
  await page.getByRole('img', { name: /QR code/ }).waitFor();
  const link = (await page.locator('pre').first().textContent()) ?? '';
  expect(parseInvitation(link)).toMatchObject({
    url: scene.server.url,
    token: expect.stringMatching(/^hw1_/),
  });
  expect(await findings(page)).toEqual([]);
  expect(await scene.server.operator.tokens('from-page')).toMatchObject([
    { owner: 'clinic-north', usesLeft: 1 },
  ]);
});

test('what cannot be undone is asked for once more; the keyboard is enough', async () => {
  await open('#/runs/next', '.empty');
  await page.getByRole('button', { name: 'Cancel', exact: true }).press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Cancel next?' });
  await dialog.waitFor();
  expect(await findings(page)).toEqual([]);
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  expect((await scene.server.operator.summary('next')).status).toBe('waiting');
  await page.getByRole('button', { name: 'Pause', exact: true }).press('Enter');
  await page.getByRole('dialog').getByRole('button', { name: 'Pause', exact: true }).press('Enter');
  await page.getByText('paused', { exact: true }).waitFor();
  await page.reload();
  await page.locator('.empty').waitFor();
  await page.keyboard.press('Tab');
  await page.evaluate(() => (document.activeElement as HTMLElement).blur());
  await page.locator('.skip').focus();
  await page.keyboard.press('Enter');
  expect(await page.evaluate(() => document.activeElement?.tagName)).toBe('H1');
});

test('files of a finished run are downloads', async () => {
  await open('#/runs/done/files', 'tbody tr');
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'adapter/adapter_config.json' }).click(),
  ]);
  expect(download.suggestedFilename()).toBe('done-adapter-adapter_config.json');
  expect(JSON.parse(readFileSync(await download.path(), 'utf8'))).toMatchObject({ peft_type: 'LORA' });
});

test('a session that ended asks to sign in again', async () => {
  await open('#/', '.cards h2');
  await context.clearCookies();
  await page.reload();
  await page.locator('#token').waitFor();
});

test('a local run has the same pages, opened by a key that does not stay in the address', async () => {
  const small = smallRun({ baselines: { localOnly: false, centralised: false } });
  const { folder } = await run(small.recipe, { out: small.out('local'), overrides: ['workers=1'] });
  const pages = await openLocalPages({
    folder,
    log: { info: () => undefined, warn: () => undefined },
    pagesFolder: dist,
  });
  const own = await browser.newPage();
  watch(own, new URL(pages.url).origin);
  try {
    await own.goto(pages.url);
    await own.locator('.chart canvas').first().waitFor();
    expect(own.url()).toMatch(/#\/runs\/local$/);
    expect(await own.getByRole('navigation', { name: 'Pages' }).textContent()).not.toContain('New run');
    expect(await own.getByRole('button', { name: 'Cancel' }).count()).toBe(0);
    await own.getByRole('link', { name: 'Clients' }).click();
    await own.getByRole('row', { name: /ann.*this machine.*tokens\/s/ }).waitFor();
  } finally {
    await own.close();
    await pages.close();
    small.remove();
  }
});

test('nothing was asked of anybody else, nothing failed, nothing was refused by the content policy', () => {
  expect(complaints).toEqual([]);
});

test('all the code of these pages, charts included, is less than 300 kB compressed', () => {
  const { bytes, gzip, brotli } = codeSizes(dist, code);
  console.log(`the dashboard: ${code.size} files, ${bytes} bytes, ${gzip} gzipped, ${brotli} in Brotli`);
  expect(gzip).toBeLessThan(300_000);
});
