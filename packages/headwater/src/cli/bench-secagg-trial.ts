/**
 * One trial of `bench secagg`: clients in other processes, some of which fall silent, one attempt of SecAgg+ with the server here,
 * and whether what came out is the exact sum of those who sent their vectors.
 */

import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { toBase64url } from '../base/base64url.ts';
import { ed25519FromSeed, ed25519Verify } from '../base/ed25519-node.ts';
import { HeadwaterError } from '../base/errors.ts';
import { type Rng, sampled } from '../base/random.ts';
import { tensor } from '../base/tensor.ts';
import { addUpdate, emptySum, planFixedPoint } from '../federation/fixed-point.ts';
import { type Outcome, type Reached, runAttempt } from '../privacy/secure-aggregation/secagg-plus/attempt.ts';
import type { Drop } from '../privacy/secure-aggregation/secagg-plus/local-member.ts';
import type { Said } from '../privacy/secure-aggregation/secagg-plus/member.ts';
import type { Advert, Attempt } from '../privacy/secure-aggregation/secagg-plus/messages.ts';
import type { FromHost, HostedClient, ToHost, Usage } from './bench-secagg-messages.ts';
import { sumOfVectors } from './bench-secagg-vectors.ts';

export interface TrialOptions {
  readonly clients: number;
  readonly params: number;
  readonly drops: number;
  readonly adversaries: number;
  readonly dropouts: number;
}

export interface TrialResult {
  readonly outcome: 'exact' | 'abandoned' | 'wrong';
  readonly reason: string | undefined;
  readonly survivors: number;
  readonly wallMs: number;
  /** Of processor time. */
  readonly serverMs: number;
  readonly clientMs: number;
  /** Of a client that stayed to the end. */
  readonly upBytes: number;
  readonly downBytes: number;
}

/** Processes of which each hosts some of the clients. */
export interface Hosts {
  begin(attempt: Attempt, clients: readonly HostedClient[]): void;
  ask(
    owner: string,
    message:
      | { readonly type: 'advertise' | 'plain' }
      | Omit<Extract<ToHost, { type: 'ask' }>, 'id' | 'owner'>,
  ): Promise<FromHost['answer']>;
  /** Of each. */
  usage(): Promise<Usage[]>;
}

const STEPS: readonly Drop[] = ['advertise', 'share', 'mask', 'confirm', 'unmask'];

export function hostsOf(children: readonly ChildProcess[]): Hosts {
  const waiting = new Map<number, (answer: FromHost['answer']) => void>();
  const failing = new Set<(cause: Error) => void>();
  let nextId = 0;
  for (const child of children) {
    child.on('message', ({ id, answer }: FromHost) => {
      waiting.get(id)?.(answer);
      waiting.delete(id);
    });
    child.once('exit', () => {
      const cause = new HeadwaterError('RUNTIME_FAILED', 'a process of the benchmark ended early');
      for (const fail of failing) fail(cause);
    });
  }
  let childOf = new Map<string, ChildProcess>();
  const call = (child: ChildProcess, message: (id: number) => ToHost) =>
    new Promise<FromHost['answer']>((resolve, reject) => {
      const id = nextId++;
      failing.add(reject);
      waiting.set(id, (answer) => {
        failing.delete(reject);
        resolve(answer);
      });
      child.send(message(id));
    });
  return {
    begin(attempt, clients) {
      childOf = new Map(clients.map(({ owner }, i) => [owner, children[i % children.length]!]));
      for (const child of children)
        child.send({
          type: 'begin',
          attempt,
          clients: clients.filter(({ owner }) => childOf.get(owner) === child),
        });
    },
    ask: (owner, message) => call(childOf.get(owner)!, (id) => ({ ...message, id, owner }) as ToHost),
    async usage() {
      const all = children.map((child) => call(child, (id) => ({ type: 'usage', id })));
      return (await Promise.all(all)) as Usage[];
    },
  };
}

/** `random` chooses who drops out and where. Keys and masks are from the CSPRNG. */
export async function secureTrial(
  hosts: Hosts,
  options: TrialOptions,
  number: number,
  random: Rng,
): Promise<TrialResult> {
  const clients = drawClients(options, random);
  const attempt = attemptOf(options, number, clients);
  hosts.begin(attempt, clients);
  const traffic = { up: 0, down: 0 };
  const staying = clients.find(({ drop }) => drop === undefined)?.owner;
  const members = new Map(
    clients.map(({ owner }) => [owner, reached(hosts, owner, owner === staying ? traffic : undefined)]),
  );
  const meter = await started(hosts);
  const outcome = await runAttempt(attempt, members, ed25519Verify);
  const { wallMs, serverMs, hostsMs } = await meter();
  return {
    ...(await judged(outcome, clients, options)),
    ...{ wallMs, serverMs, clientMs: hostsMs / clients.length },
    ...{ upBytes: traffic.up, downBytes: traffic.down },
  };
}

/** The same clients send floats, and the server adds them up as it does without secure aggregation. */
export async function plainTrial(
  hosts: Hosts,
  options: TrialOptions,
  random: Rng,
): Promise<Pick<TrialResult, 'wallMs' | 'serverMs' | 'clientMs'>> {
  const clients = drawClients({ ...options, drops: 0 }, random);
  hosts.begin(attemptOf(options, 0, clients), clients);
  const shape = [options.params];
  const plan = planFixedPoint([{ name: 'x', shape }], { fractionBits: 20, range: 1 });
  const sum = emptySum();
  const meter = await started(hosts);
  await Promise.all(
    clients.map(async ({ owner }) => {
      const data = (await hosts.ask(owner, { type: 'plain' })) as Float32Array<ArrayBuffer>;
      addUpdate(plan, sum, new Map([['x', tensor('float32', shape, data)]]), 1);
    }),
  );
  const { wallMs, serverMs, hostsMs } = await meter();
  return { wallMs, serverMs, clientMs: hostsMs / clients.length };
}

async function started(hosts: Hosts) {
  const hostsMs = async () => (await hosts.usage()).reduce((sum, { cpuMs }) => sum + cpuMs, 0);
  const hostsBefore = await hostsMs();
  const wallBefore = performance.now();
  const before = process.cpuUsage();
  return async () => {
    const { user, system } = process.cpuUsage(before);
    const wallMs = performance.now() - wallBefore;
    return { wallMs, serverMs: (user + system) / 1000, hostsMs: (await hostsMs()) - hostsBefore };
  };
}

function drawClients(
  { clients, drops }: Pick<TrialOptions, 'clients' | 'drops'>,
  random: Rng,
): HostedClient[] {
  const all = Array.from({ length: clients }, (_, i) => i);
  const dropping = new Map(sampled(all, drops, random).map((i) => [i, STEPS[random.below(STEPS.length)]]));
  const hex = () => randomBytes(32).toString('hex');
  return all.map((i) => ({
    owner: `client-${String(i).padStart(4, '0')}`,
    ...{ identity: hex(), vector: hex(), drop: dropping.get(i) },
  }));
}

function attemptOf(
  { params, adversaries, dropouts }: TrialOptions,
  number: number,
  clients: readonly HostedClient[],
): Attempt {
  const roster = clients.map(({ owner, identity }) => ({
    owner,
    identity: toBase64url(ed25519FromSeed(Buffer.from(identity, 'hex')).publicKey),
  }));
  const assumed = { adversaries, dropouts };
  return {
    run: 'bench',
    round: number,
    attempt: 1,
    length: params,
    layout: 'bench',
    minOwners: 3,
    assumed,
    roster,
  };
}

function reached(hosts: Hosts, owner: string, traffic: { up: number; down: number } | undefined): Reached {
  const counted = <T extends Advert | Said>(answer: T | undefined): T | undefined => {
    if (traffic !== undefined && answer !== undefined) traffic.up += sizeOf(answer);
    return answer;
  };
  return {
    advertise: async () => counted((await hosts.ask(owner, { type: 'advertise' })) as Advert | undefined),
    ask: async (told) => {
      if (traffic !== undefined) traffic.down += JSON.stringify(told).length;
      return counted((await hosts.ask(owner, { type: 'ask', told })) as Said | undefined);
    },
  };
}

function sizeOf(answer: Advert | Said): number {
  if ('step' in answer && answer.step === 'mask') return answer.message?.byteLength ?? 0;
  return JSON.stringify(answer).length;
}

/** The sum must be that of all who sent their vector, and of nobody else. */
async function judged(
  outcome: Outcome,
  clients: readonly HostedClient[],
  { params }: TrialOptions,
): Promise<Pick<TrialResult, 'outcome' | 'reason' | 'survivors'>> {
  if (outcome.sum === undefined) return { outcome: 'abandoned', reason: outcome.reason, survivors: 0 };
  const sent = clients.filter(({ drop }) => drop === undefined || drop === 'confirm' || drop === 'unmask');
  const names = sent.map(({ owner }) => owner).join();
  const expected = await sumOfVectors(
    sent.map(({ vector }) => vector),
    params,
  );
  const exact = names === outcome.survivors.join() && outcome.sum.every((word, i) => word === expected[i]);
  return { outcome: exact ? 'exact' : 'wrong', reason: undefined, survivors: outcome.survivors.length };
}
