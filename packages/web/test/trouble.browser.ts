/** What an owner's page says when something is wrong, what it says to do, and that nothing is lost. */

import { closeSync, ftruncateSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { joinRun } from '../../headwater/src/client/join-node.ts';
import { launchChromium } from './support/chromium.ts';
import { accept, decide, doing, isFinished, look, until, watch, type Yes } from './support/owner-page.ts';
import { type OwnerScene, openOwnerScene } from './support/owner-scene.ts';
import { animals } from './support/subjects.ts';

const dist = join(import.meta.dirname, '../dist');
const subject = animals();

let browser: Browser;
let scene: OwnerScene;
let context: BrowserContext;
const complaints: string[] = [];

beforeAll(async () => {
  [browser, scene] = await Promise.all([launchChromium(), openOwnerScene(dist, subject)]);
  await scene.createRun('alone', [
    'deployment.minOwners=1',
    'federation.rounds=1',
    'federation.localSteps=1',
  ]);
  await scene.createRun('two', ['deployment.minOwners=2', 'federation.rounds=1', 'federation.localSteps=1']);
  await scene.createRun('never', ['deployment.minOwners=3']);
}, 60_000);

afterEach(async () => {
  await context?.close();
  expect(complaints.splice(0)).toEqual([]);
});

afterAll(async () => {
  await browser?.close();
  await scene?.close();
});

async function newContext(): Promise<BrowserContext> {
  context = await browser.newContext({ reducedMotion: 'reduce' });
  return context;
}

const lookAt = async (run: string, owner: string) =>
  look(await newContext(), await scene.invite(run, owner), complaints);

const yes = (owner: string): Yes => ({
  files: scene.filesOf(owner),
  mapping: subject.mapping,
  maxRounds: 3,
  backend: 'wasm',
});

const alert = (page: Page, words: string) => page.getByRole('alert').getByText(words).first().waitFor();
const again = (page: Page, name = 'Try again') => page.getByRole('button', { name }).click();

test('a browser that lacks something is told what, before anything is asked', async () => {
  const page = await (await newContext()).newPage();
  watch(page, scene.server.url, complaints);
  await page.addInitScript(() => {
    Reflect.deleteProperty(globalThis, 'WebAssembly');
    Reflect.deleteProperty(StorageManager.prototype, 'getDirectory');
  });
  const link = await scene.invite('never', 'dan');
  await page.goto(link);
  await page.getByRole('heading', { level: 1, name: 'This browser cannot take part' }).waitFor();
  expect(await page.getByRole('alert').textContent()).toMatch(/no WebAssembly.*no private file system/);
  await page.getByText('the invitation stays good').waitFor();
});

test('files that cannot be data, columns that are missing, limits that refuse', async () => {
  const page = await lookAt('never', 'dan');
  const choose = (name: string, buffer: Buffer) =>
    page.getByLabel('Drop files here').setInputFiles({ name, mimeType: 'application/octet-stream', buffer });
  await choose('photo.csv', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1, 2, 3]));
  await alert(page, 'this is no text file');
  await choose('letter.docx', Buffer.from('text'));
  await alert(page, 'Files may end in');
  await choose('empty.jsonl', Buffer.alloc(0));
  await alert(page, 'the file is empty');
  await choose('photo.parquet', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1, 2, 3]));
  await alert(page, 'no readable Parquet file');
  await page.getByRole('button', { name: 'Remove photo.parquet' }).click();
  await page.getByLabel('Drop files here').setInputFiles(enormousFile());
  await alert(page, 'a tab takes at most');
  await alert(page, 'Take a part of it, or join with the command line');
  await choose('other.csv', Buffer.from('title,body\na,b\nc,d\n'));
  await alert(page, 'there is no column');
  await page.getByLabel('Updates in any average, at least').fill('5');
  await page.keyboard.press('Enter');
  await alert(page, 'Your limits refuse this run');
  expect(await page.getByRole('button', { name: 'Accept and take part' }).isDisabled()).toBe(true);
  await page.getByRole('button', { name: 'Refuse' }).click();
  await page.getByLabel('Your invitation').waitFor();
});

/** Has no bytes on the disk. */
function enormousFile(): string {
  const path = join(scene.root, 'enormous.jsonl');
  mkdirSync(scene.root, { recursive: true });
  const file = openSync(path, 'w');
  ftruncateSync(file, 600e6);
  closeSync(file);
  return path;
}

test('an invitation that was revoked, and none', async () => {
  const link = await scene.invite('never', 'eve');
  const [token] = (await scene.server.operator.tokens('never')).filter(({ owner }) => owner === 'eve');
  await scene.server.operator.revokeToken(token!.id);
  const page = await (await newContext()).newPage();
  watch(page, scene.server.url, complaints);
  await page.goto(link);
  await alert(page, 'does not let this browser in');
  await alert(page, 'Ask the operator');
  await page.goto('about:blank');
  await page.goto(`${scene.server.url}/#hw1_short`);
  await alert(page, 'this is no join token');
});

test('a client that is shown another log, or excluded, while it waits is told so, and keeps its files', async () => {
  const page = await lookAt('never', 'fay');
  await accept(page, yes('ann'));
  await doing(page, /Waiting for the other owners/);
  await forkLog(page);
  const [client] = (await scene.server.operator.clients('never')).filter(({ owner }) => owner === 'fay');
  await scene.server.operator.revokeClient(client!.clientId);
  // Told with the next answer, which may wait for half a minute.
  await page.reload();
  await alert(page, 'does not let this browser in');
  await alert(page, 'Your files have not left this machine');
});

/** A log whose head the operator did not sign; what the owner can do about it; and the true one again. */
async function forkLog(page: Page): Promise<void> {
  const log = /\/v1\/runs\/never\/log/;
  await context.route(log, async (route) => {
    const response = await route.fetch();
    const answer = (await response.json()) as { head: { signature: string } };
    answer.head.signature = `${answer.head.signature.startsWith('A') ? 'B' : 'A'}${answer.head.signature.slice(1)}`;
    return route.fulfill({ response, json: answer });
  });
  await page.reload();
  await alert(page, 'The run’s log is not the one that was seen before');
  await alert(page, 'its head is not signed by the operator');
  await page.getByRole('button', { name: 'Save both signed heads' }).click();
  await page.getByText('There are no two heads that contradict each other').waitFor();
  await context.unroute(log);
  await page.getByRole('button', { name: 'Take the log as it is now' }).click();
  await doing(page, /Waiting for the other owners/);
}

test('no storage left, then a model that arrives damaged: each is told, and with space and a whole model it goes on where it was', async () => {
  const page = await lookAt('alone', 'ann');
  const session = await page.context().newCDPSession(page);
  const space = (quotaSize?: number) =>
    session.send('Storage.overrideQuotaForOrigin', {
      origin: scene.server.url,
      ...(quotaSize === undefined ? {} : { quotaSize }),
    });
  await space(1);
  await page.getByLabel('Drop files here').setInputFiles(scene.filesOf('ann').train);
  await alert(page, 'no storage left for this page');
  await alert(page, 'Free disk space');
  await space();
  await decide(page, yes('ann'));
  await space(600_000);
  await page.getByRole('button', { name: 'Accept and take part' }).and(page.locator(':enabled')).click();
  await alert(page, 'no storage left for this page');
  await alert(page, 'what is there already is kept');
  let isDamaged = true;
  await context.route(/\/v1\/runs\/alone\/blobs\//, async (route) => {
    if (!isDamaged) return route.continue();
    const response = await route.fetch();
    return route.fulfill({ response, body: Buffer.from(await response.body()).fill(7, 1000, 1010) });
  });
  await space();
  // The browser may need a moment to notice that there is space.
  const retry = page.getByRole('button', { name: 'Try again' });
  const refused = page.getByRole('alert').getByText('3 times with other bytes than announced').first();
  await until(async () => {
    if (await refused.isVisible()) return true;
    if (await retry.isVisible()) await retry.click();
    return false;
  });
  await alert(page, 'What was loaded so far is kept');
  isDamaged = false;
  await again(page);
  await isFinished(page);
});

/** In the worker's script: its waits get shorter by a factor that the test tells. */
const TEST_CLOCK = `{
  const wait = self.setTimeout.bind(self);
  let speed = 1;
  new BroadcastChannel('test-clock').onmessage = ({ data }) => { speed = data; };
  self.setTimeout = (act, ms = 0, ...rest) => wait(act, ms / speed, ...rest);
}
`;

/** So many waits, of which all but the first six take at least 15 s, are more than ten minutes. */
const TRIES = 46;

test('a coordinator that is gone for ten minutes is waited for, and then the run goes on', async () => {
  await newContext();
  await context.route(/\/assets\/worker-[^/]*\.js$/, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: TEST_CLOCK + (await response.text()) });
  });
  await context.clock.install();
  const page = await look(context, await scene.invite('two', 'ann'), complaints);
  await accept(page, yes('ann'));
  await doing(page, /Waiting for the other owners/);
  let tries = 0;
  page.on('requestfailed', () => {
    tries++;
  });
  await scene.stop();
  await page.getByText('The coordinator does not answer').waitFor();
  await page.evaluate(() => new BroadcastChannel('test-clock').postMessage(400));
  await context.clock.fastForward(600_000);
  await page.getByText(/For 10 min.*asked again.*nothing is lost/s).waitFor();
  await until(() => tries >= TRIES);
  await page.evaluate(() => new BroadcastChannel('test-clock').postMessage(1));
  await scene.start();
  await page.getByText('The coordinator does not answer').waitFor({ state: 'hidden' });
  const { train, test: held } = scene.filesOf('ben');
  const ben = joinRun({
    url: await scene.invite('two', 'ben'),
    data: { train: { files: train }, test: { files: held }, mapping: new Map([subject.mapping]) },
    state: join(scene.root, 'state-ben'),
    threads: 1,
  });
  await isFinished(page);
  expect((await ben).status).toBe('finished');
});
