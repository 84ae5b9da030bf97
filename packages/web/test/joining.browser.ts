/**
 * Owners' pages in Chromium over a real coordinator: two tabs in contexts of their own and a Node client fine-tune seed-lm-7m on
 * domains of CLINC150 to the end, through a reload and a tab that is killed in mid-round.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { joinRun } from '../../headwater/src/client/join-node.ts';
import { decodeParams } from '../../headwater/src/federation/params.ts';
import { findings } from './support/axe.ts';
import { launchChromium } from './support/chromium.ts';
import { exactSum } from './support/exact-sum.ts';
import { startTrace, stopTrace } from './support/main-thread.ts';
import { accept, doing, isFinished, look, until, watch } from './support/owner-page.ts';
import { type OwnerScene, openOwnerScene } from './support/owner-scene.ts';
import { codeSizes, noteCode } from './support/page-code.ts';
import { domains } from './support/subjects.ts';

const dist = join(import.meta.dirname, '../dist');
const RUN = 'intents';
const subject = domains();

let browser: Browser;
let scene: OwnerScene;
const complaints: string[] = [];
/** Scripts and styles that an owner's page asked for. */
const code = new Set<string>();

beforeAll(async () => {
  [browser, scene] = await Promise.all([launchChromium(), openOwnerScene(dist, subject)]);
  // Three are asked in each round, and the first two that answer make it: who is held up holds up nobody.
  await scene.createRun(RUN, [
    ...['federation.rounds=3', 'federation.localSteps=3', 'federation.cohortSize=2'],
    ...['federation.overSelection=1.5', 'federation.quorum=2', 'deployment.minOwners=3'],
  ]);
}, 60_000);

afterAll(async () => {
  await browser?.close();
  await scene?.close();
});

interface Owner {
  readonly context: BrowserContext;
  page: Page;
}

/** `sends`: whether updates get through while so many rounds are closed. */
async function newOwner(name: string, sends: (closed: number) => boolean, backend?: string): Promise<Owner> {
  const context = await browser.newContext({ reducedMotion: 'reduce' });
  await context.route(/\/v1\/runs\/[^/]+\/(uploads|updates)/, async (route) =>
    sends(await scene.closed(RUN)) ? route.continue() : route.abort(),
  );
  context.on('page', (page) => noteCode(page, code));
  const page = await look(context, await scene.invite(RUN, name), complaints);
  expect(page.url()).not.toContain('hw1_');
  const files = scene.filesOf(name);
  await accept(page, { files, mapping: subject.mapping, maxRounds: 3, ...(backend && { backend }) });
  return { context, page };
}

/** A client in Node, until the signal. */
async function nodeClient(link: string, signal: AbortSignal) {
  const { train, test: held } = scene.filesOf('cid');
  return joinRun({
    url: link,
    data: { train: { files: train }, test: { files: held }, mapping: new Map([subject.mapping]) },
    state: join(scene.root, 'state-cid'),
    threads: 1,
    signal,
  });
}

test('two tabs and a Node client train to the end, through a reload and a killed tab; the result is the exact sum', async () => {
  const { server } = scene;
  // The Node client has joined and gone away again: the first round is that of the two tabs.
  const link = await scene.invite(RUN, 'cid');
  const away = new AbortController();
  const first = nodeClient(link, away.signal);
  await until(async () => (await scene.owners(RUN)) === 1);
  away.abort();
  await expect(first).rejects.toThrow();

  // In the second round nothing of ben's gets through, so that the kill is surely before his update; in the third nothing of ann's.
  const ann = await newOwner('ann', (closed) => closed !== 2, 'wasm');
  expect(await findings(ann.page)).toEqual([]);
  const ben = await newOwner('ben', (closed) => closed !== 1);
  await doing(ann.page, /Round 1.*training, step/);
  await ann.page.reload();
  await ann.page.getByRole('heading', { level: 2, name: 'Taking part' }).waitFor();
  await startTrace(browser);
  await until(async () => (await scene.closed(RUN)) >= 1);
  const threads = await stopTrace(browser);

  const node = nodeClient(link, new AbortController().signal);
  node.catch(() => undefined);
  await doing(ben.page, /Round 2/);
  await ben.page.close({ runBeforeUnload: false });
  await until(async () => (await scene.closed(RUN)) >= 2);
  ben.page = await ben.context.newPage();
  watch(ben.page, server.url, complaints);
  await ben.page.goto(server.url);

  await Promise.all([isFinished(ann.page), isFinished(ben.page)]);
  expect((await node).status).toBe('finished');
  const state = (await server.operator.state(RUN))!;
  expect(state.closed.map(({ members }) => Object.keys(members).sort())).toEqual([
    ['ann', 'ben'],
    ['ann', 'cid'],
    ['ben', 'cid'],
  ]);

  const adapter = readFileSync(join(server.resultsFolder, RUN, 'adapter/adapter_model.safetensors'));
  const released = decodeParams(new Uint8Array(adapter));
  const expected = exactSum(state, (digest) => decodeParams(scene.blob(digest)));
  expect([...released.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [name, { data }] of expected) expect(released.get(name)!.data).toEqual(data);

  const [download] = await Promise.all([
    ann.page.waitForEvent('download'),
    ann.page.getByRole('button', { name: 'Download the adapter' }).click(),
  ]);
  expect(download.suggestedFilename()).toBe(`${RUN}-adapter.zip`);
  const zip = readFileSync(await download.path());
  expect(zip.includes(adapter)).toBe(true);
  expect(zip.includes('"peft_type": "LORA"')).toBe(true);
  expect(await findings(ann.page)).toEqual([]);

  await ann.page.getByLabel('Your message').fill('how do i say goodbye in french');
  await ann.page.getByRole('button', { name: 'Send' }).click();
  await ann.page.locator('.turn.assistant').filter({ hasText: /\w{3}/ }).first().waitFor();
  expect(complaints).toEqual([]);

  console.log(
    `main threads: ${threads.tasks} tasks, the longest ${threads.longestCpuMs.toFixed(1)} ms of processor time (${threads.longestMs.toFixed(0)} ms by the clock)`,
  );
  expect(threads.tasks).toBeGreaterThan(100);
  expect(threads.longestCpuMs).toBeLessThan(50);
}, 240_000);

test('all the code that an owner’s page loads for that is less than 300 kB compressed', () => {
  const { bytes, gzip, brotli } = codeSizes(dist, code);
  console.log(`an owner’s page: ${code.size} files, ${bytes} bytes, ${gzip} gzipped, ${brotli} in Brotli`);
  expect(brotli).toBeLessThan(300_000);
});
