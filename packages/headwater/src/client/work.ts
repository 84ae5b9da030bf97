/** Doing a task: params in, an update or figures out. What the coordinator asks for is held against the signed manifest. */

import { sleep } from '../base/clock.ts';
import { ERROR_CODES, type ErrorCode, HeadwaterError } from '../base/errors.ts';
import type { OwnerScores } from '../federation/events.ts';
import type { Masking } from '../federation/masking/secure-aggregation.ts';
import type { TrainingStats } from '../federation/training-stats.ts';
import type { Manifest } from '../federation/wire/messages.ts';
import { deliver } from './deliver.ts';
import { memorySink } from './download.ts';
import type { ExampleLedger } from './example-ledger.ts';
import { interrupted, notAsAgreed, refusalCode } from './failures.ts';
import { digestOf, portableHasher } from './hashing.ts';
import type { LogWatch } from './log-watch.ts';
import { agreedMasking, checkMaskable, type MaskingIdentity, maskedUpdate } from './masking.ts';
import type { Memory } from './memory.ts';
import type { EvaluateTask, FetchBlob, Trainer, TrainingCost, TrainTask } from './ports.ts';
import { jittered } from './retry.ts';
import type { SecureMemory } from './secure-memory.ts';
import { takePart } from './secure-round.ts';
import { ask, type Session } from './session.ts';
import { stillWanted } from './tasks.ts';
import { termsOf } from './terms.ts';

export interface Desk {
  readonly session: Session;
  readonly identity: MaskingIdentity;
  readonly manifest: Manifest;
  readonly memory: Memory;
  readonly secure: SecureMemory;
  readonly ledger: (round: number) => Promise<ExampleLedger>;
  readonly trainer: Trainer;
  readonly fetchBlob: FetchBlob;
  readonly watch: LogWatch;
  /** Params used last: a round is validated and continued from the same ones. */
  last: Bytes | undefined;
  /** What was not sent in the last round: as a rule nothing in it changes. */
  rest: Bytes | undefined;
}

interface Bytes {
  readonly digest: string;
  readonly params: Uint8Array;
}

/** Trains, remembers, delivers. A training that diverges is reported, one that nobody waits for any more is given up. */
export async function trainTask(desk: Desk, task: TrainTask): Promise<void> {
  const { session, manifest, memory } = desk;
  checkAsked(manifest, task);
  const masking = agreedMasking(manifest, task, desk.trainer.counts);
  if (masking !== undefined && termsOf(manifest).secureAggregation?.mode === 'secagg-plus')
    return trainTogether(desk, task, masking);
  const result = await trainedResult(desk, task, async (trained) =>
    masking === undefined
      ? { update: trained.update, masked: undefined }
      : await maskedUpdate(session.parts, desk.identity, task, masking, trained.update),
  );
  if (result === undefined) return;
  const { update, masked, kept, stats } = result;
  const { round, id: taskId, base } = task;
  const pending = await memory.trained({ round, taskId, base, update, kept, stats, masked });
  if (masked !== undefined) session.parts.onEvent({ type: 'secure-round', step: 'mask', round });
  await deliver(session, memory, manifest.model.digest, pending, false, desk.watch);
}

/** Where the owners of a round open the masks together: trained once, whatever becomes of an attempt. */
async function trainTogether(desk: Desk, task: TrainTask, masking: Masking): Promise<void> {
  const { session, secure } = desk;
  const { round, base, id: taskId } = task;
  const before = await secure.load();
  const isSame = before?.round === round && before.base === base;
  if (isSame && before.opened) {
    const reason = 'it has helped to open a sum of this round: a second one could show the difference';
    await ask(session, 'reportFailure', { body: { round, reason } });
    await sleep(session.parts.timers, jittered(ASK_AGAIN_MS, session.parts.entropy), session.signal);
    return;
  }
  if (isSame) return takePart(desk, await secure.change(before, { masking }));
  const result = await trainedResult(desk, task, async ({ update }) => {
    checkMaskable(update);
    return { update };
  });
  if (result === undefined) return;
  const { update: updateBytes, kept: keptBytes, stats } = result;
  await takePart(desk, await secure.begin({ round, taskId, base, stats, masking, updateBytes, keptBytes }));
}

/** Undefined: the task is over, or it failed and that was reported. `sent`: what travels instead of the update. */
async function trainedResult<S extends { readonly update: Uint8Array }>(
  desk: Desk,
  task: TrainTask,
  sent: (trained: { readonly update: Uint8Array }) => Promise<S>,
): Promise<(S & { readonly kept: Uint8Array | undefined; readonly stats: TrainingStats }) | undefined> {
  const { session, manifest, memory, trainer } = desk;
  const cost = trainer.trainingCost?.(task.steps);
  if (cost !== undefined && (await overBudget(desk, task, cost))) return undefined;
  await desk.watch.proveParams(task.base);
  const params = await paramsOf(desk, task.params);
  if (params === undefined) return undefined;
  const rest = await restOf(desk, task);
  if (rest === 'gone') return undefined;
  const trained = await whileWanted(session, manifest, task, async (signal) => {
    const trained = await trainer.train(task, params, memory.kept, signal, rest);
    const result = { ...trained, ...(await sent(trained)) };
    if (result.update.byteLength > task.maxUploadBytes)
      throw new HeadwaterError(
        'UPDATE_REJECTED',
        `the update has ${result.update.byteLength} bytes, the run takes at most ${task.maxUploadBytes}`,
      );
    return result;
  });
  if (trained === undefined) return undefined;
  // Before it can be sent: a crash in between charges for nothing, which is safe.
  if (cost !== undefined) await (await desk.ledger(task.round)).charge(cost);
  return { ...trained, stats: allowedStats(session, trained.stats) };
}

/** Whether it is not done, because one more training would cost the examples more than they may; the coordinator is told. */
async function overBudget(
  { session, ledger }: Desk,
  { round }: TrainTask,
  cost: TrainingCost,
): Promise<boolean> {
  const epsilon = (await ledger(round)).excess(cost);
  if (epsilon === undefined) return false;
  session.parts.onEvent({ type: 'budget-spent', round, epsilon, target: cost.targetEpsilon! });
  await ask(session, 'reportFailure', {
    body: { round, reason: 'its privacy budget is spent' },
  });
  return true;
}

export async function evaluateTask(desk: Desk, task: EvaluateTask): Promise<void> {
  const { session, memory, trainer } = desk;
  await desk.watch.proveParams(task.params.digest);
  const params = await paramsOf(desk, task.params);
  if (params === undefined) return;
  const result = await trainer.evaluate(task, params, memory.kept, session.signal);
  const { evaluation } = task;
  const body = { evaluation, params: task.params.digest, result: allowedScores(session, result) };
  await ask(session, 'submitEvaluation', { body });
  session.parts.onEvent({ type: 'evaluated', evaluation });
}

/** More than the signed manifest speaks of is not done. */
function checkAsked(manifest: Manifest, task: TrainTask): void {
  const { rounds, localSteps } = termsOf(manifest);
  if (rounds === undefined || localSteps === undefined) return;
  if (task.round > rounds || task.steps > localSteps)
    throw notAsAgreed(
      `round ${task.round} with ${task.steps} steps; signed: ${rounds} rounds of ${localSteps} steps`,
    );
}

/** Undefined: they are not handed out any more, because the task is over; ask again. */
async function paramsOf(
  desk: Desk,
  blob: { readonly digest: string; readonly bytes: number },
): Promise<Uint8Array | undefined> {
  if (desk.last?.digest === blob.digest) return desk.last.params;
  const params = await fetched(desk, blob);
  if (params !== undefined) desk.last = { digest: blob.digest, params };
  return params;
}

/** Fresh params are made here, to the same bytes; what began elsewhere, or came out otherwise on this machine, is fetched. */
async function restOf(desk: Desk, { rest, round }: TrainTask): Promise<Uint8Array | undefined | 'gone'> {
  if (rest === null) return undefined;
  if (desk.rest?.digest === rest.digest) return desk.rest.params;
  const { trainer, session } = desk;
  const made = await trainer.rest?.(round);
  const isIt = made !== undefined && digestOf(session.parts.hasher ?? portableHasher, made) === rest.digest;
  const params = isIt ? made : await fetched(desk, rest);
  if (params === undefined) return 'gone';
  desk.rest = { digest: rest.digest, params };
  return params;
}

/** Undefined: they are not handed out any more, because the task is over; ask again. */
async function fetched(desk: Desk, blob: TrainTask['params']): Promise<Uint8Array | undefined> {
  const { session, trainer, fetchBlob } = desk;
  if (blob.bytes > trainer.maxParamsBytes)
    throw notAsAgreed(`params of ${blob.bytes} bytes; this run's have at most ${trainer.maxParamsBytes}`);
  const sink = memorySink(blob.bytes, session.parts.hasher);
  try {
    await fetchBlob(blob, sink);
  } catch (failure) {
    if (refusalCode(failure) !== 'blob-unknown') throw failure;
    await sleep(session.parts.timers, jittered(ASK_AGAIN_MS, session.parts.entropy), session.signal);
    return undefined;
  }
  return sink.whole();
}

const ASK_AGAIN_MS = 500;
/** How often a long training asks whether it is still wanted. */
const ASK_AFTER_MS = 30_000;

/** Undefined: it failed (and was reported), or became useless. */
async function whileWanted<T>(
  session: Session,
  manifest: Manifest,
  task: TrainTask,
  train: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const useless = new AbortController();
  const over = new AbortController();
  const signal = AbortSignal.any([session.signal, useless.signal]);
  const watching = watch(session, manifest, task, over.signal, () => useless.abort());
  try {
    return await train(signal);
  } catch (error) {
    if (session.signal.aborted) throw interrupted();
    if (useless.signal.aborted) return undefined;
    await report(session, task, error);
    return undefined;
  } finally {
    over.abort();
    await watching;
  }
}

async function watch(
  session: Session,
  manifest: Manifest,
  task: TrainTask,
  over: AbortSignal,
  giveUp: () => void,
): Promise<void> {
  const { timers, entropy } = session.parts;
  const { buffered } = termsOf(manifest);
  const signal = AbortSignal.any([session.signal, over]);
  while (!signal.aborted) {
    await sleep(timers, jittered(ASK_AFTER_MS, entropy), signal);
    if (signal.aborted) return;
    try {
      if (!(await stillWanted({ ...session, signal }, task.id, buffered))) return giveUp();
    } catch {
      // Refused or stopped: whoever delivers the update will hear the same.
      return;
    }
  }
}

/** What this task can only lead to: doing it again would be the same. */
const FAILURES_OF_THE_TASK: ReadonlySet<ErrorCode> = new Set(['TRAINING_DIVERGED', 'UPDATE_REJECTED']);

/**
 * Diverged training costs the round, and the coordinator is told so (the kind of failure; texts of errors may name files of
 * the owner and stay here). Any other failure is this machine's and stops the client: started again, it does the same task.
 */
async function report(session: Session, { round }: TrainTask, error: unknown): Promise<void> {
  if (!(error instanceof HeadwaterError) || !FAILURES_OF_THE_TASK.has(error.code)) throw error;
  const reason = `${error.code}: ${ERROR_CODES[error.code]}`;
  await ask(session, 'reportFailure', { body: { round, reason } });
}

function allowedScores(
  { parts }: Session,
  { numExamples, numTargets, scores }: OwnerScores,
): { numExamples: number; numTargets: number; scores: Record<string, number | null> } {
  const kept = Object.entries(scores).filter(([metric]) => parts.policy.mayLeave(metric));
  return { numExamples, numTargets, scores: Object.fromEntries(kept) };
}

function allowedStats({ parts }: Session, stats: TrainingStats): TrainingStats {
  return parts.policy.mayLeave('loss') ? stats : { ...stats, meanLoss: null, lastLoss: null };
}
