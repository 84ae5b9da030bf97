/** Base weights come once: what is stored is used again, a download that was cut off goes on, damage is noticed. */

import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { OpenRequest } from './pages/commands.ts';
import { launchChromium } from './support/chromium.ts';
import { modelFiles, openEnginePage, startEngineServer } from './support/engine-page.ts';
import type { StaticServer } from './support/static-server.ts';

let browser: Browser;
let server: StaticServer;

/** Large enough that half of it is more than the buffers on the way. */
const MODEL = '/assets-of-headwater/seed-lm-7m';
const WEIGHTS = `${MODEL}/model.safetensors`;
const FILES = modelFiles(MODEL);
const SIZE = FILES.find(({ path }) => path === 'model.safetensors')!.bytes;
const REQUEST: OpenRequest = {
  ...{ backend: 'wasm', model: MODEL, files: FILES, tuning: { kind: 'lora', options: { rank: 4 } } },
};

/** What happens to the answers about the weights, first to last; then they are whole. */
let faults: ('cut' | 'hang' | 'damage')[] = [];

beforeAll(async () => {
  server = await startEngineServer({
    alter: (path, bytes) => {
      const fault = path === WEIGHTS ? faults.shift() : undefined;
      if (fault === 'damage') return { bytes: Uint8Array.from(bytes).fill(7, 10_000, 10_020), after: 'end' };
      return fault && { bytes: bytes.subarray(0, bytes.length >> 1), after: fault };
    },
  });
  browser = await launchChromium();
});

afterEach(() => {
  faults = [];
  server.served.length = 0;
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
});

const asked = () => server.served.filter(({ path }) => path === WEIGHTS);

test('the second visit asks for no file of the model', async () => {
  const context = await browser.newContext();
  const first = await openEnginePage(browser, server, context);
  const opened = await first.call('open', REQUEST);
  expect([...opened.fetched].sort()).toEqual(FILES.map(({ path }) => path).sort());
  expect(asked()).toEqual([{ path: WEIGHTS, bytes: SIZE, status: 200 }]);
  await first.close();
  server.served.length = 0;
  const second = await openEnginePage(browser, server, context);
  expect((await second.call('open', REQUEST)).fetched).toEqual([]);
  expect(server.served.filter(({ path }) => path.startsWith(MODEL))).toEqual([]);
  await context.close();
});

test('two tabs that want the same model load it once', async () => {
  const context = await browser.newContext();
  const tabs = [
    await openEnginePage(browser, server, context),
    await openEnginePage(browser, server, context),
  ];
  const opened = await Promise.all(tabs.map((tab) => tab.call('open', REQUEST)));
  expect(opened.flatMap(({ fetched }) => fetched).sort()).toEqual(FILES.map(({ path }) => path).sort());
  expect(asked().length).toBe(1);
  await context.close();
});

test('a connection that breaks in the middle goes on behind what came', async () => {
  faults = ['cut'];
  const tab = await openEnginePage(browser, server);
  await tab.call('open', REQUEST);
  const [whole, rest] = asked();
  expect(whole).toMatchObject({ status: 200 });
  expect(rest?.status).toBe(206);
  expect(rest!.bytes).toBeLessThan(SIZE);
  await tab.close();
});

test('a tab that is closed in the middle leaves what came to the next one', async () => {
  faults = ['hang'];
  const context = await browser.newContext();
  const first = await openEnginePage(browser, server, context);
  first.call('open', REQUEST).catch(() => undefined);
  await expect.poll(() => first.call('downloaded', null), { timeout: 30_000 }).toBe(SIZE >> 1);
  await first.close();
  const second = await openEnginePage(browser, server, context);
  await second.call('open', REQUEST);
  expect(asked()[1]).toEqual({ path: WEIGHTS, status: 206, bytes: SIZE - (SIZE >> 1) });
  await context.close();
});

test('bytes that are not those of the digest are thrown away and asked for again', async () => {
  faults = ['damage'];
  const tab = await openEnginePage(browser, server);
  await tab.call('open', REQUEST);
  expect(asked().map(({ status, bytes }) => [status, bytes])).toEqual([
    [200, SIZE],
    [200, SIZE],
  ]);
  await tab.close();
});

test('bytes that stay wrong are refused with the reason', async () => {
  faults = ['damage', 'damage', 'damage'];
  const tab = await openEnginePage(browser, server);
  await expect(tab.call('open', REQUEST)).rejects.toThrow(/3 times with other bytes than announced/);
  await tab.close();
});
