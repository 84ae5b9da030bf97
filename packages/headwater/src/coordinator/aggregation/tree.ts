/**
 * A round's aggregation as a tree of tasks in the store: workers sum groups of members, then groups of sums, and this
 * process makes the next params from the last one. Sums are exact, so any tree, any worker and any repetition gives the
 * bits of the aggregation in one piece; whenever the tree does not come to its end, that is what is done instead.
 */

import { sleep, type Timers } from '../../base/clock.ts';
import { assert, messageOf } from '../../base/errors.ts';
import type { Compression } from '../../federation/compression/compression.ts';
import { emptySum } from '../../federation/fixed-point.ts';
import { addEncodedSum } from '../../federation/partial-sums.ts';
import {
  type AggregationJob,
  type AggregationParts,
  aggregateMembers,
  aggregateSum,
} from '../../jobs/aggregation.ts';
import type { AggregateResult } from '../../jobs/jobs.ts';
import type { Blobs } from '../../storage/blobs.ts';
import type { Store } from '../../storage/store.ts';
import type { Log } from '../ports.ts';
import {
  type CompressionChoice,
  performSumTask,
  SUM_KINDS,
  SUM_RESULTS_TOPIC,
  SUM_TASKS_TOPIC,
  type SumContext,
  type SumTask,
  sumOfResult,
  sumsTask,
  updatesTask,
} from './sum-tasks.ts';

/** What is shared with workers. */
export interface SharedParts {
  readonly blobs: Pick<Blobs, 'get' | 'put' | 'stream' | 'putStream' | 'delete'>;
  readonly store: Pick<Store, 'tasks' | 'wakeups'>;
  readonly timers: Timers;
  readonly log: Log;
  /** Name of this process among those that claim tasks. */
  readonly node: string;
}

export interface TreeParts extends SharedParts, Omit<AggregationParts, 'blobs'> {
  /** What `compression` was bound from: `{ kind, …options }`, as in the recipe. */
  readonly compressionChoice: CompressionChoice;
  readonly compressions: ReadonlyMap<string, Compression<unknown>>;
  readonly shape?: TreeShape;
}

export interface TreeShape {
  /** Members that one task sums; default 32. */
  readonly leafMembers: number;
  /** Partial sums that one task merges; default 8. */
  readonly mergedSums: number;
}

const SHAPE: TreeShape = { leafMembers: 32, mergedSums: 8 };
/** Wake-ups may be lost: results are looked at this often at least. */
const LOOK_MS = 2_000;
/** After so many looks without a new result this process does a task itself. */
const PATIENCE_LOOKS = 5;
const CLAIM_MS = 60_000;

/** Groups that one task could sum are not worth the way. Throws what `inOnePiece` throws. */
export async function aggregateByTree(
  parts: TreeParts,
  job: AggregationJob,
  inOnePiece: () => Promise<AggregateResult> = () => aggregateMembers(parts, job),
): Promise<AggregateResult> {
  const { leafMembers } = parts.shape ?? SHAPE;
  if (parts.method.combine !== undefined || job.work.members.length <= leafMembers) return inOnePiece();
  const made: Made = { tasks: new Set(), sums: new Set() };
  try {
    const digest = await climb(parts, job, made);
    const sum = emptySum();
    await addEncodedSum(job.fixedPoint, sum, parts.blobs.stream(digest));
    return await aggregateSum(parts, job, sum);
  } catch (error) {
    parts.log.warn('aggregation-tree-failed', { round: job.work.round, reason: messageOf(error) });
    return inOnePiece();
  } finally {
    await forget(parts, made);
  }
}

/** What the tree leaves in the store. */
interface Made {
  readonly tasks: Set<string>;
  readonly sums: Set<string>;
}

async function climb(parts: TreeParts, job: AggregationJob, made: Made): Promise<string> {
  const { leafMembers, mergedSums } = parts.shape ?? SHAPE;
  assert(leafMembers >= 1 && mergedSums >= 2, 'a tree must become narrower');
  const context: SumContext = {
    fixedPoint: job.fixedPoint,
    expected: parts.method.wire(parts.tensors, job.work.round, job.work.members[0]?.owner ?? ''),
    compression: parts.compressionChoice,
  };
  const leaves = groups(job.work.members, leafMembers).map((members) => updatesTask(context, members));
  let sums = await done(parts, leaves, made);
  while (sums.length > 1) {
    const wide = groups(sums, mergedSums);
    const merges = wide.filter((group) => group.length > 1).map((group) => sumsTask(context, group));
    const alone = wide.filter((group) => group.length === 1).flat();
    sums = [...(await done(parts, merges, made)), ...alone];
  }
  return sums[0]!;
}

function groups<T>(items: readonly T[], size: number): T[][] {
  const count = Math.ceil(items.length / size);
  return Array.from({ length: count }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/** Lets the tasks be done and gives the digests of their sums, in order. */
async function done(parts: TreeParts, tasks: readonly SumTask[], made: Made): Promise<string[]> {
  const { store } = parts;
  for (const { id } of tasks) made.tasks.add(id);
  await store.tasks.enqueue(tasks);
  await store.wakeups.publish(SUM_TASKS_TOPIC);
  const digests = await awaited(
    parts,
    tasks.map(({ id }) => id),
  );
  for (const digest of digests) made.sums.add(digest);
  return digests;
}

async function awaited(parts: TreeParts, ids: readonly string[]): Promise<string[]> {
  const bell = openBell(parts);
  try {
    for (let finished = 0, looks = 0; ; looks++) {
      const outcomes = await parts.store.tasks.results(ids);
      const ready = outcomes.filter((outcome) => outcome !== undefined);
      const failed = ready.find((outcome) => 'failure' in outcome);
      if (failed !== undefined) throw new Error(failed.failure);
      if (ready.length === ids.length)
        return ready.map((outcome) => sumOfResult('result' in outcome ? outcome.result : null));
      if (ready.length > finished) looks = 0;
      finished = ready.length;
      if (looks >= PATIENCE_LOOKS && (await help(parts))) looks = PATIENCE_LOOKS - 1;
      else await bell.rings();
    }
  } finally {
    bell.close();
  }
}

/** False when there was nothing to claim: somebody is at it. */
async function help({ store, blobs, compressions, node, log }: TreeParts): Promise<boolean> {
  const [task] = await store.tasks.claim(node, SUM_KINDS, 1, CLAIM_MS);
  if (task === undefined) return false;
  log.info('aggregation-tree-helps', { task: task.id });
  await store.tasks.finish(task.id, await performSumTask(task, blobs, compressions));
  return true;
}

/** Rings when a result may have come, and every `LOOK_MS`; what rings between two waits is not lost. */
function openBell({ store, timers }: TreeParts) {
  let heard = new AbortController();
  const stop = store.wakeups.subscribe(SUM_RESULTS_TOPIC, () => heard.abort());
  return {
    async rings() {
      await sleep(timers, LOOK_MS, heard.signal);
      heard = new AbortController();
    },
    close: stop,
  };
}

/** Leftovers cost only space: a store that fails here must not cost the round. */
async function forget({ store, blobs, log }: TreeParts, { tasks, sums }: Made): Promise<void> {
  try {
    await store.tasks.delete([...tasks]);
    for (const digest of sums) await blobs.delete(digest);
  } catch (error) {
    log.warn('aggregation-tree-leftovers', { reason: messageOf(error) });
  }
}
