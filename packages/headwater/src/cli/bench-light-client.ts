/**
 * A client that holds no data and trains nothing: it joins, enrols, waits for its turn and hands in an update of the right
 * size as soon as it is asked. Requests, signatures, checks and patience are those of every client; each is measured.
 */

import { toBase64url } from '../base/base64url.ts';
import { type Clock, sleep } from '../base/clock.ts';
import type { AnswerOf, JsonRoute } from '../client/api.ts';
import { type Caller, type CallInput, type CallParts, createCaller } from '../client/call.ts';
import { Refused } from '../client/failures.ts';
import type { ClientParts, Signer, TrainTask } from '../client/ports.ts';
import { jittered, persist } from '../client/retry.ts';
import type { RouteId } from '../federation/wire/routes.ts';
import type { LightUpdate } from './bench-light-updates.ts';

/** What a request was answered with; `failed`: it was not, or refused. */
export type Got = 'done' | 'failed' | 'nothing' | 'task' | 'over';

export interface Sample {
  readonly route: RouteId;
  readonly sentMs: number;
  readonly doneMs: number;
  readonly got: Got;
  /** Of the task that was got. */
  readonly round: number;
}

export interface LightParts extends CallParts, Pick<ClientParts, 'timers'> {
  /** For samples: finer than the one that signatures use need be. */
  readonly stopwatch: Clock;
  readonly observe: (sample: Sample) => void;
  readonly onFailure: (route: RouteId, reason: string) => void;
  /** How long a training takes, as far as the coordinator can tell. */
  readonly trainingMs: () => number;
  /** The params of the task, read to their end. Gives what this client sends back. */
  readonly train: (
    client: number,
    task: TrainTask,
    params: AsyncIterable<Uint8Array>,
  ) => Promise<LightUpdate>;
}

export interface LightIdentity {
  readonly number: number;
  readonly signer: Signer;
  /** The secret of its token. */
  readonly secret: string;
}

export interface Entered {
  readonly run: string;
  readonly baseModel: string;
}

interface Light {
  readonly parts: LightParts;
  readonly identity: LightIdentity;
  readonly caller: Caller;
  readonly signal: AbortSignal;
}

/** How long a client asks to wait for something to do. */
export const WAIT_SECONDS = 25;

/** Joins and enrols; gives what plays the rest of the run and resolves to the number of updates that were counted. */
export async function enterLightClient(
  parts: LightParts,
  identity: LightIdentity,
  signal: AbortSignal,
): Promise<() => Promise<number>> {
  const light: Light = { parts, identity, caller: createCaller(parts, identity.signer), signal };
  const { secret, signer } = identity;
  const joining = { token: secret, publicKey: toBase64url(signer.publicKey), software: 'bench' };
  const { run, manifest } = await ask(light, 'join', { body: joining });
  const baseModel = (JSON.parse(manifest.text) as { model: { digest: string } }).model.digest;
  const heldOut = { validation: 0, test: 0 };
  const counts = { numExamples: 100, numTokens: 10_000, heldOut, lostState: false };
  await ask(light, 'enrol', { params: { run }, body: counts });
  return () => play(light, { run, baseModel });
}

async function play(light: Light, entered: Entered): Promise<number> {
  const { parts, signal } = light;
  const params = { run: entered.run };
  for (let counted = 0; ; ) {
    const answer = await ask(light, 'task', { params, query: { wait: WAIT_SECONDS } });
    const { task, status } = answer;
    if (task?.kind === 'train') counted += (await work(light, entered, task)) ? 1 : 0;
    else if (status === 'finished' || status === 'failed' || status === 'cancelled') return counted;
    else await sleep(parts.timers, jittered(answer.retryAfterMs, parts.entropy), signal);
  }
}

/** Whether it was counted. */
async function work(light: Light, { run, baseModel }: Entered, task: TrainTask): Promise<boolean> {
  const { parts, identity } = light;
  const { round, params } = task;
  const update = await repeated(light, 'blob', async () => {
    const blob = { params: { run, digest: params.digest } };
    const { body } = await light.caller.bytes('blob', blob, light.signal);
    return parts.train(identity.number, task, body);
  });
  await sleep(parts.timers, parts.trainingMs(), light.signal);
  const { digest, bytes } = update;
  const opening = { digest, bytes, taskId: task.id };
  const { chunkBytes, have } = await ask(light, 'openUpload', { params: { run }, body: opening });
  for (let index = 0; index * chunkBytes < bytes; index++) {
    if (have.includes(index)) continue;
    const chunk = update.chunk(index, chunkBytes);
    await ask(light, 'putChunk', { params: { run, digest, index }, body: { ...chunk, encoding: undefined } });
  }
  const stats = { steps: 1, numExamples: 1, numTokens: 1, numTargets: 1, meanLoss: 1, lastLoss: 1 };
  const body = { round, base: params.digest, baseModel, update: { digest, bytes }, stats };
  return (await ask(light, 'submitUpdate', { params: { run }, body })).accepted;
}

function ask<R extends JsonRoute>(light: Light, route: R, input: CallInput<R>): Promise<AnswerOf<R>> {
  return repeated(light, route, () => light.caller.json(route, input, light.signal));
}

/** Until it is answered. */
function repeated<T>({ parts, signal }: Light, route: RouteId, attempt: () => Promise<T>): Promise<T> {
  const patience = { ...parts, onEvent: () => undefined };
  return persist(patience, signal, async () => {
    const sentMs = parts.stopwatch.nowMs();
    const observe = (got: Got, round: number) =>
      parts.observe({ route, sentMs, doneMs: parts.stopwatch.nowMs(), got, round });
    try {
      const answer = await attempt();
      observe(...gotIn(route, answer));
      return answer;
    } catch (cause) {
      observe('failed', 0);
      parts.onFailure(route, cause instanceof Refused ? cause.answer.code : String(cause));
      throw cause;
    }
  });
}

function gotIn(route: RouteId, answer: unknown): [Got, number] {
  if (route !== 'task') return ['done', 0];
  const { task, status } = answer as AnswerOf<'task'>;
  if (task?.kind === 'train') return ['task', task.round];
  return [status === 'waiting' || status === 'running' || status === 'paused' ? 'nothing' : 'over', 0];
}
