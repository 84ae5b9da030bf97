/**
 * Owners' pages in Chromium over a real coordinator: two tabs in contexts of their own and a Node client fine-tune a model to the
 * end, through a reload and a tab that is killed in mid-round; and what the page says when something is wrong.
 */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Params } from '../../headwater/src/base/tensor.ts';
import { joinRun } from '../../headwater/src/client/join-node.ts';
import { decodeParams } from '../../headwater/src/federation/params.ts';
import type { RunState } from '../../headwater/src/federation/state.ts';
import { launchChromium } from './support/chromium.ts';
import { type OwnerScene, openOwnerScene } from './support/owner-scene.ts';

const dist = join(import.meta.dirname, '../dist');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const ROUNDS = 3;
const PATIENCE_MS = 240_000;

let browser: Browser;
let scene: OwnerScene;
/** What must not happen: errors, refusals of the content policy, requests to another origin, a token in an address. */
const complaints: string[] = [];

beforeAll(async () => {
  const overrides = [
    ...[`federation.rounds=${ROUNDS}`, 'federation.localSteps=12', 'federation.quorum=2'],
    ...['deployment.minOwners=3', 'deployment.deadlineSeconds=25'],
  ];
  [browser, scene] = await Promise.all([launchChromium(), openOwnerScene(dist, 'shared', overrides)]);
}, 180_000);

afterAll(async () => {
  await browser?.close();
  await scene?.close();
});

function watch(page: Page): void {
  page.setDefaultTimeout(PATIENCE_MS);
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    const expected = /status of (401|403|404|410)|ERR_FAILED|ERR_CONNECTION_REFUSED/.test(message.text());
    if (message.type() === 'error' && !expected) complaints.push(message.text());
  });
  page.on('request', (request) => {
    if (!request.url().startsWith(scene.server.url) && !request.url().startsWith('blob:'))
      complaints.push(`a request to ${request.url()}`);
    if (request.url().includes('hw1_')) complaints.push('a token in an address');
  });
}

async function findings(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: { run(): Promise<import('axe-core').AxeResults> } }).axe.run(),
  );
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(' | ')}`);
}

interface Owner {
  readonly context: BrowserContext;
  page: Page;
}

async function newOwner(link: string): Promise<Owner> {
  const context = await browser.newContext({ reducedMotion: 'reduce' });
  const page = await context.newPage();
  watch(page);
  await page.goto(link);
  await page.getByRole('heading', { level: 2, name: 'What this run is' }).waitFor();
  return { context, page };
}

/** As an owner does it: files, which column is which, a limit, yes. */
async function accept(page: Page, owner: string): Promise<void> {
  const { train, test: held } = scene.filesOf(owner);
  await page.getByLabel('Drop files here').setInputFiles(train);
  await page.getByLabel('The run’s “prompt” is your').fill('question');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'As the model sees them' }).waitFor();
  await page.getByLabel('The next files are').selectOption('test');
  await page.getByLabel('Drop files here').setInputFiles(held);
  await page.getByRole('listitem').filter({ hasText: 'only to measure on at the end' }).waitFor();
  await page.getByLabel('Rounds, at most').fill(String(ROUNDS));
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Accept and take part' }).and(page.locator(':enabled')).click();
}

const working = (page: Page, words: RegExp) =>
  page.getByRole('status').filter({ hasText: words }).first().waitFor();

async function until(holds: () => Promise<boolean>): Promise<void> {
  const endMs = Date.now() + PATIENCE_MS;
  while (!(await holds())) {
    if (Date.now() > endMs) throw new Error('it did not come to that in time');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

describe('what is wrong is said', () => {
  test('files that cannot be data, columns that are missing, limits that refuse', async () => {
    const { page, context } = await newOwner(await scene.invite('dan'));
    const choose = (name: string, buffer: Buffer) =>
      page
        .getByLabel('Drop files here')
        .setInputFiles({ name, mimeType: 'application/octet-stream', buffer });
    await choose('photo.csv', Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1, 2, 3]));
    await page.getByRole('alert').getByText('this is no text file').waitFor();
    await choose('letter.docx', Buffer.from('text'));
    await page.getByRole('alert').getByText('Files may end in').waitFor();
    await choose('empty.jsonl', Buffer.alloc(0));
    await page.getByRole('alert').getByText('the file is empty').waitFor();
    await choose('other.csv', Buffer.from('title,body\na,b\nc,d\n'));
    await page.getByRole('alert').getByText('there is no column').waitFor();
    await page.getByLabel('Updates in any average, at least').fill('5');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').getByText('Your limits refuse this run').waitFor();
    expect(await page.getByRole('button', { name: 'Accept and take part' }).isDisabled()).toBe(true);
    await page.getByRole('button', { name: 'Refuse' }).click();
    await page.getByLabel('Your invitation').waitFor();
    await context.close();
  }, 300_000);

  test('an invitation that was revoked, and none', async () => {
    const link = await scene.invite('eve');
    const [token] = (await scene.server.operator.tokens('shared')).filter(({ owner }) => owner === 'eve');
    await scene.server.operator.revokeToken(token!.id);
    const page = await (await browser.newContext()).newPage();
    watch(page);
    await page.goto(link);
    await page.getByRole('alert').getByText('does not let this browser in').waitFor();
    await page.goto('about:blank');
    await page.goto(`${scene.server.url}/#hw1_short`);
    await page.getByRole('alert').getByText('this is no join token').waitFor();
    await page.context().close();
  }, 300_000);
});

test('two tabs and a Node client train to the end, through a reload and a killed tab; the result is the exact sum', async () => {
  const { server } = scene;
  const [ann, ben] = await Promise.all(
    ['ann', 'ben'].map(async (name) => newOwner(await scene.invite(name))),
  );
  if (ann === undefined || ben === undefined) throw new Error('there are two');
  expect(ann.page.url()).not.toContain('hw1_');
  expect(await findings(ann.page)).toEqual([]);
  await accept(ann.page, 'ann');
  await accept(ben.page, 'ben');
  const { train, test: held } = scene.filesOf('cid');
  const node = joinRun({
    url: await scene.invite('cid'),
    data: { train: { files: train }, test: { files: held }, mapping: new Map([['prompt', 'question']]) },
    state: join(scene.root, 'state-cid'),
  });
  node.catch(() => undefined);

  await working(ann.page, /Round 1 of 3|Round 1:|training/);
  await ann.page.reload();
  await ann.page.getByRole('heading', { level: 2, name: 'Taking part' }).waitFor();

  // From the second round on nothing of ben's gets through, so that the kill is surely before his update.
  await until(async () => (await scene.closed()) >= 1);
  await ben.context.route(/\/v1\/runs\/[^/]+\/(uploads|updates)/, (route) => route.abort());
  await working(ben.page, /Round 2|does not answer/);
  await ben.page.close({ runBeforeUnload: false });
  await until(async () => (await scene.closed()) >= 2);
  await ben.context.unrouteAll({ behavior: 'ignoreErrors' });
  ben.page = await ben.context.newPage();
  watch(ben.page);
  await ben.page.goto(server.url);

  for (const { page } of [ann, ben])
    await page.getByRole('heading', { level: 2, name: 'The run is finished' }).waitFor();
  expect((await node).status).toBe('finished');
  const state = (await server.operator.state('shared'))!;
  const members = state.closed.map((round) => Object.keys(round.members).sort());
  expect(members[0]).toEqual(['ann', 'ben', 'cid']);
  expect(members[1]).toEqual(['ann', 'cid']);
  expect(members[2]).toContain('ann');

  const released = decodeParams(
    new Uint8Array(readFileSync(join(server.resultsFolder, 'shared/adapter/adapter_model.safetensors'))),
  );
  const expected = exactSum(state, (digest) => decodeParams(scene.blob(digest)));
  expect([...released.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [name, { data }] of expected) expect(released.get(name)!.data).toEqual(data);

  const [download] = await Promise.all([
    ann.page.waitForEvent('download'),
    ann.page.getByRole('button', { name: 'Download the adapter' }).click(),
  ]);
  const zip = readFileSync(await download.path());
  expect(
    zip.includes(readFileSync(join(server.resultsFolder, 'shared/adapter/adapter_model.safetensors'))),
  ).toBe(true);
  expect(await findings(ann.page)).toEqual([]);
  await ann.page.getByLabel('Your message').fill('cat number 1 says:');
  await ann.page.getByRole('button', { name: 'Send' }).click();
  await ann.page.locator('.turn.assistant').filter({ hasText: /\w/ }).first().waitFor();
  expect(complaints).toEqual([]);
}, 600_000);

/** θ + Σ w·q / (W·2^f) over the updates of each round, with integers of any size: nothing of the coordinator's code. */
function exactSum({ plan, roster, closed }: RunState, read: (digest: string) => Params): Params {
  const { tensors } = plan.fixedPoint;
  const weightOf = (owner: string) => BigInt(roster[owner]!.aggregationWeight);
  let params = read(plan.initialParams);
  for (const { members } of closed) {
    const updates = Object.entries(members).map(
      ([owner, digest]) => [weightOf(owner), read(digest)] as const,
    );
    const total = updates.reduce((sum, [weight]) => sum + weight, 0n);
    params = new Map(
      [...params].map(([name, tensor]) => {
        const { fractionBits, range } = tensors.find((scale) => scale.name === name)!;
        const data = tensor.data.map((before, i) => {
          const sum = updates.reduce((partial, [weight, update]) => {
            const clamped = Math.min(range, Math.max(-range, update.get(name)!.data[i]!));
            return partial + weight * BigInt(halfEven(clamped * 2 ** fractionBits));
          }, 0n);
          return before + Math.fround((Number(sum) / Number(total)) * 2 ** -fractionBits);
        });
        return [name, { ...tensor, data }];
      }),
    );
  }
  return params;
}

function halfEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}
