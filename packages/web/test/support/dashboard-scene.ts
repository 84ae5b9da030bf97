/**
 * What the dashboard is looked at with: a real coordinator and real Node clients on the smallest model. Runs that ended, one
 * that goes on (with an owner that tells no figures and one whose updates are refused), one that waits for owners.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toBase64url } from '../../../headwater/src/base/base64url.ts';
import { nodeBasics } from '../../../headwater/src/client/basics-node.ts';
import { createCaller } from '../../../headwater/src/client/call.ts';
import { httpTransport } from '../../../headwater/src/client/http-transport-node.ts';
import { joinRun } from '../../../headwater/src/client/join-node.ts';
import { type Server, startServer } from '../../../headwater/src/coordinator/serve.ts';
import { parseJoinToken } from '../../../headwater/src/federation/wire/join-token.ts';
import type { TaskResponse } from '../../../headwater/src/federation/wire/messages.ts';
import { resolveRecipe } from '../../../headwater/src/jobs/resolve-recipe.ts';
import { fileIn, type SmallRun, smallRun } from '../../../headwater/test/support/small-run.ts';

const OWNERS = ['ann', 'ben', 'cid'];
const TOKEN = { uses: 1, ttlMs: 600_000 };
const log = { info: () => undefined, warn: () => undefined };

export interface Scene {
  readonly server: Server;
  /** Begins a run and plays it to its end with all three owners. */
  finish(run: string, overrides: readonly string[]): Promise<void>;
  /** Begins a run and plays it until so many rounds are closed; then its owners fall silent. */
  begin(run: string, overrides: readonly string[], rounds: number): Promise<void>;
  /** Its owners come back until so many rounds are closed. */
  goOn(run: string, rounds: number): Promise<void>;
  /** A run that has not enough owners. */
  wait(run: string): Promise<void>;
  close(): Promise<void>;
}

/** `pagesFolder`: of the built pages. */
export async function openScene(pagesFolder: string): Promise<Scene> {
  const small = smallRun({ baselines: { localOnly: false, centralised: false } });
  const server = await startServer({
    ...{ store: join(small.root, 'coordinator'), durability: 'none', host: '127.0.0.1', port: 0 },
    ...{ adminHost: '127.0.0.1', adminPort: 0, insecure: false, corsOrigins: [], log, pagesFolder },
  });
  const controller = new AbortController();
  const { signal } = controller;
  const playing: Promise<unknown>[] = [];
  const create = (run: string, overrides: readonly string[]) => createRun(server, small, run, overrides);
  const joined = (run: string, owner: string) => joinOwner(server, small, { run, owner, signal });
  /** Until so many rounds are closed; then the owners fall silent. */
  const play = async (run: string, rounds: number, more: (until: AbortSignal) => Promise<void>[]) => {
    const silence = new AbortController();
    const own = AbortSignal.any([signal, silence.signal]);
    const clients = [
      ...more(own),
      ...OWNERS.map((owner) => joinOwner(server, small, { run, owner, signal: own })),
    ];
    playing.push(...clients);
    await until(async () => ((await server.operator.state(run))?.closed.length ?? 0) >= rounds);
    silence.abort();
    await Promise.allSettled(clients);
  };
  return {
    server,
    async finish(run, overrides) {
      await create(run, ['deployment.minOwners=3', ...overrides]);
      await Promise.all(OWNERS.map((owner) => joined(run, owner)));
      await until(async () => (await server.operator.summary(run)).status === 'finished');
    },
    async begin(run, overrides, rounds) {
      await create(run, ['deployment.minOwners=4', 'federation.quorum=3', ...overrides]);
      const { text: invitation } = await server.operator.createToken({ run, owner: 'dan', ...TOKEN });
      await play(run, rounds, (until) => [joinSpoiler(server, invitation, until)]);
    },
    goOn: (run, rounds) => play(run, rounds, () => []),
    async wait(run) {
      await create(run, ['deployment.minOwners=3']);
      playing.push(joined(run, 'ann'));
      await until(async () => (await server.operator.summary(run)).owners === 1);
    },
    async close() {
      controller.abort();
      await Promise.allSettled(playing);
      await server.close(1000);
      small.remove();
    },
  };
}

async function createRun(
  { operator }: Server,
  small: SmallRun,
  run: string,
  overrides: readonly string[],
): Promise<void> {
  const { recipe } = await resolveRecipe(small.recipe, { overrides: [`name=${run}`, ...overrides] });
  await operator.createRun(run, JSON.parse(JSON.stringify(recipe)));
}

interface Joining {
  readonly run: string;
  readonly owner: string;
  readonly signal: AbortSignal;
}

/** Ben tells no figures. */
async function joinOwner(server: Server, small: SmallRun, { run, owner, signal }: Joining): Promise<void> {
  const file = (name: string) => {
    const [, ...rows] = fileIn(small.root, `data/${name}.csv`).trim().split('\n');
    const own = rows.filter((row) => row.startsWith(`${owner},`)).map((row) => row.slice(owner.length + 1));
    const path = join(small.root, `${owner}-${name}.csv`);
    writeFileSync(path, ['prompt,answer', ...own, ''].join('\n'));
    return { files: path };
  };
  const { text: token } = await server.operator.createToken({ run, owner, ...TOKEN });
  await joinRun({
    url: server.url,
    token,
    data: { train: file('train'), validation: file('test'), test: file('test') },
    state: join(small.root, `state-${run}-${owner}`),
    threads: 1,
    ...(owner === 'ben' ? { policy: { metrics: [] } } : {}),
    signal,
  });
}

/** Hands in updates of another base model, until the coordinator asks for none. */
async function joinSpoiler(server: Server, invitation: string, signal: AbortSignal): Promise<void> {
  const transport = httpTransport({ url: server.url });
  const parts = nodeBasics(transport.send);
  const { signer } = await parts.signer(undefined);
  const caller = createCaller(parts, signer);
  const { secret } = parseJoinToken(invitation);
  const joining = {
    token: secret,
    publicKey: toBase64url(signer.publicKey),
    software: 'headwater/0.1.0 (webgpu; chrome 140)',
  };
  const { run } = await caller.json('join', { body: joining }, signal);
  const params = { run };
  const heldOut = { validation: 0, test: 0 };
  const counts = { numExamples: 5, numTokens: 60, heldOut, lostState: false };
  await caller.json('enrol', { params, body: counts }, signal);
  while (!signal.aborted) {
    const { task } = (await caller.json('task', { params, query: { wait: 20 } }, signal)) as TaskResponse;
    if (task?.kind !== 'train') continue;
    const { round, params: base, steps } = task;
    const stats = { steps, numExamples: steps, numTokens: 10, numTargets: 5, meanLoss: 1, lastLoss: 1 };
    const update = { digest: base.digest, bytes: base.bytes };
    const body = { round, base: base.digest, baseModel: '0'.repeat(64), update, stats };
    await caller.json('submitUpdate', { params, body }, signal);
  }
  await transport.close();
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 100));
}
