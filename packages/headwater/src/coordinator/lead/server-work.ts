/**
 * The run's own work: aggregating and publishing. Started when the machine asks for it, repeated when it fails, given up
 * (the run pauses and says why) when repeating does not help. Doing it twice gives the same blobs.
 */

import type { Clock, Timers } from '../../base/clock.ts';
import { HeadwaterError, messageOf } from '../../base/errors.ts';
import type { AggregateWork, DrawWork, Effect, PublishWork, RunEvent } from '../../federation/events.ts';
import { aggregationDigests, outstandingWork } from '../../federation/outstanding.ts';
import type { RunState } from '../../federation/state.ts';
import type { UnmaskOrder } from '../../jobs/masking.ts';
import type { NoiseOrder } from '../../jobs/release.ts';
import type { Blobs } from '../../storage/blobs.ts';
import { maskFacts } from '../masks/context.ts';
import type { Opened, Unmasking } from '../masks/unmasking.ts';
import type { Log, RunWorks } from '../ports.ts';
import { toldReport } from '../requests/withheld.ts';
import type { Garbage } from '../upkeep/garbage.ts';
import type { KeyCleaning } from './key-cleaning.ts';
import type { NoiseKeys } from './noise-keys.ts';
import { drawnBy } from './secret-draw.ts';

export interface ServerWork {
  /** Starts what is among these and not under way. */
  launch(effects: readonly Effect[]): void;
  /** Starts what the state still needs. */
  launchOutstanding(state: RunState): void;
  /** Nothing further is started; resolves when nothing is under way any more. */
  close(): Promise<void>;
}

export interface ServerWorkParts {
  readonly run: string;
  readonly works: () => Promise<RunWorks>;
  readonly state: () => RunState | undefined;
  readonly submit: (event: RunEvent) => Promise<unknown>;
  readonly noiseKeys: NoiseKeys;
  readonly keyCleaning: KeyCleaning;
  readonly unmasking: Unmasking;
  readonly blobs: Pick<Blobs, 'has'>;
  readonly garbage: Garbage;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
}

type OwnWork = AggregateWork | PublishWork | DrawWork;

/** Waits before the second, third … try. */
const RETRY_MS = [1_000, 5_000, 30_000];

export function createServerWork(parts: ServerWorkParts): ServerWork {
  const underWay = new Map<string, Promise<void>>();
  const cancels = new Set<() => void>();
  let closed = false;

  function start(work: OwnWork, attempt = 0): void {
    if (closed || underWay.has(work.id)) return;
    const done = attemptWork(work, attempt)
      .finally(() => underWay.delete(work.id))
      .then((outcome) => {
        if (outcome === 'changed') launchOutstanding(parts.state());
      });
    underWay.set(work.id, done);
  }

  async function attemptWork(work: OwnWork, attempt: number): Promise<Outcome> {
    const state = parts.state();
    if (state === undefined || state.status !== 'running' || state.paused !== null) return 'over';
    try {
      return await performed(parts, work, state);
    } catch (cause) {
      await failed(work, attempt, cause);
      return 'over';
    }
  }

  async function failed(work: OwnWork, attempt: number, cause: unknown): Promise<void> {
    if (closed) return;
    parts.log.warn('work-failed', { run: parts.run, work: work.id, attempt, reason: messageOf(cause) });
    const waitMs = isDamage(cause) ? undefined : RETRY_MS[attempt];
    if (waitMs !== undefined) return again(work, attempt + 1, waitMs);
    const hint = cause instanceof HeadwaterError && cause.hint !== undefined ? `. ${cause.hint}` : '';
    const reason = `${work.id} failed: ${messageOf(cause).replace(/\.$/, '')}${hint}`;
    // When this cannot be written either, the driver breaks and the run is taken up anew.
    await parts.submit({ type: 'paused', reason }).catch(() => undefined);
  }

  function again(work: OwnWork, attempt: number, waitMs: number): void {
    const cancel = parts.timers.after(waitMs, () => {
      cancels.delete(cancel);
      start(work, attempt);
    });
    cancels.add(cancel);
  }

  const launch = (effects: readonly Effect[]) => {
    for (const effect of effects)
      if (effect.kind === 'aggregate' || effect.kind === 'publish' || effect.kind === 'draw') start(effect);
  };
  const launchOutstanding = (state: RunState | undefined) =>
    launch(state === undefined ? [] : outstandingWork(state));
  return {
    launch,
    launchOutstanding,
    async close() {
      closed = true;
      for (const cancel of cancels) cancel();
      await Promise.all(underWay.values());
    },
  };
}

/** `changed`: the members are others now, and what the round asked for meanwhile under the same name was not started. */
type Outcome = 'over' | 'changed';

async function performed(parts: ServerWorkParts, work: OwnWork, state: RunState): Promise<Outcome> {
  if (work.kind === 'aggregate') return aggregate(parts, work, state);
  await (work.kind === 'draw' ? draw(parts, work) : publish(parts, work, state));
  return 'over';
}

/** The journal has who was drawn before anybody is asked; then the key that drew them is destroyed. */
async function draw(
  { noiseKeys, keyCleaning, submit }: ServerWorkParts,
  { round, owners, rate }: DrawWork,
): Promise<void> {
  await keyCleaning.now();
  const key = await noiseKeys.ofDraw(round);
  await submit({ type: 'cohort-drawn', round, owners: drawnBy(key, owners, rate) });
  await keyCleaning.untilDone();
}

async function aggregate(parts: ServerWorkParts, work: AggregateWork, state: RunState): Promise<Outcome> {
  const works = await parts.works();
  const startedMs = parts.clock.nowMs();
  const opened = state.plan.secureAggregation && (await openMasks(parts, work, state, works));
  if (opened === 'failed') return 'changed';
  const blob = opened?.blob;
  const unpin = blob === undefined ? undefined : await parts.garbage.pin(blob);
  try {
    await aggregateWith(parts, work, state, { works, startedMs, unmask: opened?.order });
    return 'over';
  } finally {
    unpin?.();
    if (blob !== undefined) await parts.garbage.collect([blob]);
  }
}

interface Aggregating {
  readonly works: RunWorks;
  readonly startedMs: number;
  readonly unmask: UnmaskOrder | undefined;
}

async function aggregateWith(
  parts: ServerWorkParts,
  work: AggregateWork,
  state: RunState,
  { works, startedMs, unmask }: Aggregating,
): Promise<void> {
  const { round, membership } = work;
  const { privacy } = state.plan;
  const addsNoise = privacy !== undefined && privacy.trust === undefined;
  const noise = addsNoise ? await noiseOf(parts, work) : undefined;
  const { observed, ...result } = await works.aggregate(work, state.plan, noise, unmask);
  const tookMs = parts.clock.nowMs() - startedMs;
  const digests = aggregationDigests(result);
  const releases = await Promise.all(digests.map((digest) => parts.garbage.pin(digest)));
  try {
    for (const digest of digests)
      if (!(await parts.blobs.has(digest)))
        throw new Error(`blob ${digest} was deleted while it was made; it is made again`);
    await parts.submit({
      type: 'aggregated',
      round,
      membership,
      ...{ ...result, report: toldReport(state.plan, result.report) },
      observed: { tookMs, ...(observed as object | undefined) },
    });
  } finally {
    for (const release of releases) release();
  }
  // Now the release is in the journal, and is not made again. A crash before this line leaves it to whoever takes the run up.
  if (noise !== undefined) await parts.keyCleaning.untilDone();
}

/** With a tree also the keys of the nodes that this release closes a larger one over. */
async function noiseOf(
  { noiseKeys: keys, keyCleaning }: ServerWorkParts,
  { round, membership, tree }: AggregateWork,
): Promise<NoiseOrder> {
  await keyCleaning.now();
  const key = await keys.of(round, membership);
  if (tree === undefined) return { kind: 'secret', key };
  return { kind: 'secret', key, removed: await Promise.all(tree.removes.map(keys.kept)) };
}

/** A round in which somebody's mask cannot be taken away goes on without that owner. */
async function openMasks(
  { unmasking, submit, log, run }: ServerWorkParts,
  work: AggregateWork,
  { plan }: RunState,
  works: RunWorks,
): Promise<Extract<Opened, { kind: 'opened' }> | 'failed'> {
  const { round, membership } = work;
  const opened = await unmasking.open(work, maskFacts(works, plan, round));
  if (opened.kind === 'opened') return opened;
  if (opened.kind === 'abandoned') return 'failed';
  const { owners: blamed, reason } = opened;
  log.warn('unmasking-failed', { run, round, blamed: blamed.join(' '), reason });
  await submit({ type: 'unmasking-failed', round, membership, blamed, reason });
  return 'failed';
}

async function publish(parts: ServerWorkParts, work: PublishWork, state: RunState): Promise<void> {
  const works = await parts.works();
  const startedMs = parts.clock.nowMs();
  await works.publish(work, state);
  await parts.submit({ type: 'published', observed: { tookMs: parts.clock.nowMs() - startedMs } });
}

/** What is damaged does not mend itself; a full or failing disk may. */
function isDamage(cause: unknown): boolean {
  return cause instanceof HeadwaterError && cause.code === 'RUN_CORRUPT';
}
