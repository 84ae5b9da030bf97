import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NO_POSTGRES, type PostgresServer, startPostgres } from '../../../test/support/postgres.ts';
import type { Timers } from '../../base/clock.ts';
import { HeadwaterError } from '../../base/errors.ts';
import { rng, shuffled } from '../../base/random.ts';
import { type Params, tensor } from '../../base/tensor.ts';
import { bindCompression } from '../../federation/compression/compression.ts';
import { encodeUpdate } from '../../federation/compression/encode.ts';
import { compressions } from '../../federation/compression/registry.ts';
import type { Member } from '../../federation/events.ts';
import { planFixedPoint } from '../../federation/fixed-point.ts';
import { bindMethod } from '../../federation/method.ts';
import { fedavg } from '../../federation/methods/fedavg.ts';
import { encodeParams } from '../../federation/params.ts';
import { type AggregationJob, aggregateMembers } from '../../jobs/aggregation.ts';
import { recordOf } from '../../jobs/records.ts';
import type { Blobs } from '../../storage/blobs.ts';
import { memoryStore } from '../../storage/memory.ts';
import { memoryBlobs } from '../../storage/memory-blobs.ts';
import { openPostgresStore } from '../../storage/postgres-store.ts';
import type { Store, Task } from '../../storage/store.ts';
import type { Log } from '../ports.ts';
import { aggregateByTree, type TreeParts } from './tree.ts';
import { runAggregationWorker } from './worker.ts';
import { countWorkers } from './workers-present.ts';

const tensors = [
  { name: 'a', shape: [9000] },
  { name: 'b', shape: [3, 7] },
];
const fixedPoint = planFixedPoint(tensors, { fractionBits: 30, range: 8 });
const log: Log = { info: () => undefined, warn: () => undefined };

/** Waiting takes no time: whoever waits looks again at once. */
const timers: Timers = {
  after(_, fire) {
    const handle = setImmediate(fire);
    return () => clearImmediate(handle);
  },
};

/** The same where a server needs a moment: without a pause the waiting would take its processor. */
const shortTimers: Timers = {
  after(ms, fire) {
    const handle = setTimeout(fire, Math.min(ms, 20));
    return () => clearTimeout(handle);
  },
};

function randomParams(seed: number): Params {
  const random = rng(seed);
  return new Map(
    tensors.map(({ name, shape }) => {
      const size = shape.reduce((product, dim) => product * dim, 1);
      const data = Float32Array.from({ length: size }, () => 3 * random.normal());
      return [name, tensor('float32', shape, data)];
    }),
  );
}

interface Cohort {
  readonly store: Store;
  readonly blobs: Blobs;
  readonly parts: TreeParts;
  readonly job: AggregationJob;
  /** What the aggregation in one piece gives. */
  readonly expected: Awaited<ReturnType<typeof aggregateMembers>>;
  readonly stored: readonly string[];
}

interface Wanted {
  readonly size: number;
  readonly seed?: number;
  readonly compression?: { readonly kind: string; readonly [option: string]: unknown };
  readonly shape?: TreeParts['shape'];
  readonly store?: Store;
}

async function cohortOf(wanted: Wanted): Promise<Cohort> {
  const { size, seed = 1, compression: choice = { kind: 'none' }, shape, store = memoryStore() } = wanted;
  const blobs = memoryBlobs();
  const { record, options } = recordOf(compressions, choice);
  const compression = bindCompression(record, options);
  const members: Member[] = [];
  for (let i = 0; i < size; i++) {
    const { bytes } = encodeUpdate(compression, randomParams(seed * 1000 + i), rng(seed, i), undefined);
    const aggregationWeight = 1 + (i % 7);
    const freshWeight = aggregationWeight + (i % 3);
    members.push({ owner: `o${i}`, update: await blobs.put(bytes), aggregationWeight, freshWeight });
  }
  const params = await blobs.put(encodeParams(randomParams(seed)));
  const work = {
    kind: 'aggregate' as const,
    id: 'w',
    round: 1,
    params,
    serverState: null,
    members,
    membership: '',
    participation: 1,
  };
  const job = { work, fixedPoint, serverLearningRate: 1.5 };
  const parts: TreeParts = {
    method: bindMethod(fedavg, {}),
    compression,
    compressionChoice: choice,
    compressions,
    tensors,
    blobs,
    store,
    timers,
    log,
    node: 'coordinator',
    ...(shape === undefined ? {} : { shape }),
  };
  const expected = await aggregateMembers(parts, job);
  return { store, blobs, parts, job, expected, stored: await blobs.list() };
}

async function withWorkers<T>(
  { store, blobs }: Pick<Cohort, 'store' | 'blobs'>,
  count: number,
  body: () => Promise<T>,
): Promise<{ result: T; done: number }> {
  const stop = new AbortController();
  const workers = Array.from({ length: count }, (_, i) =>
    runAggregationWorker({ store, blobs, compressions, timers, log, name: `w${i}` }, stop.signal),
  );
  try {
    const result = await body();
    stop.abort();
    const counts = await Promise.all(workers);
    return { result, done: counts.reduce((sum, n) => sum + n, 0) };
  } finally {
    stop.abort();
    await Promise.all(workers);
  }
}

/** Workers that die at random moments: what was claimed is lost, done twice, or finished late. */
function unreliable(store: Store, seed: number): Store {
  const random = rng(seed, 'crashes');
  const limbo: Task[] = [];
  return {
    ...store,
    tasks: {
      ...store.tasks,
      async claim(worker, kinds, max, ttlMs) {
        // No time passes in this test: a claim that runs out at once stands for a worker that went silent.
        const tasks = await store.tasks.claim(worker, kinds, max, random.uniform() < 0.5 ? 0 : ttlMs);
        for (const task of tasks) if (random.uniform() < 0.2) limbo.push(task);
        const dies = random.uniform() < 0.3;
        if (dies) for (const { id } of tasks) await store.tasks.fail(id, 'died', 1_000_000);
        return dies ? limbo.splice(0, 1) : tasks;
      },
    },
  };
}

describe('aggregation as a tree', () => {
  it('any tree, any worker, any crash and any duplicate give the bits of the aggregation in one piece', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          size: fc.integer({ min: 1, max: 23 }),
          seed: fc.integer({ min: 1, max: 1000 }),
          leafMembers: fc.integer({ min: 1, max: 9 }),
          mergedSums: fc.integer({ min: 2, max: 5 }),
          workers: fc.integer({ min: 0, max: 4 }),
          kind: fc.constantFrom('none', 'float16', 'int8'),
        }),
        async ({ size, seed, leafMembers, mergedSums, workers, kind }) => {
          const reliable = memoryStore();
          const store = unreliable(reliable, seed);
          const shape = { leafMembers, mergedSums };
          const cohort = await cohortOf({ size, seed, compression: { kind }, shape, store });
          const warned: string[] = [];
          const parts = {
            ...cohort.parts,
            log: { ...log, warn: (event: string) => void warned.push(event) },
          };
          const { result } = await withWorkers(cohort, workers, () => aggregateByTree(parts, cohort.job));
          expect(result).toEqual(cohort.expected);
          expect(warned).toEqual([]);
          expect(await reliable.tasks.claim('x', ['sum-updates', 'sum-sums'], 9, 1)).toEqual([]);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('the order of groups changes nothing either', async () => {
    const cohort = await cohortOf({ size: 12, shape: { leafMembers: 5, mergedSums: 2 } });
    const members = shuffled(cohort.job.work.members, rng(5));
    const job = { ...cohort.job, work: { ...cohort.job.work, members } };
    expect(await aggregateByTree(cohort.parts, job)).toEqual(cohort.expected);
  });

  it('workers do it, and nothing is left behind', async () => {
    const cohort = await cohortOf({ size: 20, shape: { leafMembers: 3, mergedSums: 3 } });
    const impatient = new Set<string>();
    const parts = { ...cohort.parts, log: { ...log, info: (event: string) => void impatient.add(event) } };
    const { result, done } = await withWorkers(cohort, 3, () => aggregateByTree(parts, cohort.job));
    expect(result).toEqual(cohort.expected);
    // 7 leaves, 2 merges (the last group is one sum), 1 more; fewer where this process grew impatient.
    expect(done).toBeGreaterThan(0);
    expect(done).toBeLessThanOrEqual(10);
    expect(await cohort.blobs.list()).toEqual(cohort.stored);
  });

  it('without workers the process does the tasks itself', async () => {
    const cohort = await cohortOf({ size: 10, shape: { leafMembers: 4, mergedSums: 2 } });
    const helped: string[] = [];
    const parts = { ...cohort.parts, log: { ...log, info: (event: string) => void helped.push(event) } };
    expect(await aggregateByTree(parts, cohort.job)).toEqual(cohort.expected);
    expect(helped).toEqual(Array.from({ length: 5 }, () => 'aggregation-tree-helps'));
  });

  it('finished tasks of an interrupted coordinator are not done again', async () => {
    const cohort = await cohortOf({ size: 9, shape: { leafMembers: 3, mergedSums: 3 } });
    let finishes = 0;
    const dying: Store = {
      ...cohort.store,
      tasks: {
        ...cohort.store.tasks,
        async finish(id, result) {
          await cohort.store.tasks.finish(id, result);
          if (++finishes === 2) throw new HeadwaterError('STORAGE_FAILED', 'power cut');
        },
        delete: () => Promise.reject(new Error('dead')),
      },
    };
    await aggregateByTree({ ...cohort.parts, store: dying }, cohort.job);
    const claimed: string[] = [];
    const counting: Store = {
      ...cohort.store,
      tasks: {
        ...cohort.store.tasks,
        async claim(...args) {
          const tasks = await cohort.store.tasks.claim(...args);
          claimed.push(...tasks.map(({ kind }) => kind));
          return tasks;
        },
      },
    };
    expect(await aggregateByTree({ ...cohort.parts, store: counting }, cohort.job)).toEqual(cohort.expected);
    expect(claimed).toEqual(['sum-updates', 'sum-sums']);
  });

  it('a compression that workers do not know, or a lost partial sum, ends in the aggregation in one piece', async () => {
    const cohort = await cohortOf({ size: 6, shape: { leafMembers: 2, mergedSums: 2 } });
    const warned: string[] = [];
    const warning = { ...log, warn: (event: string) => void warned.push(event) };
    const unknown = { ...cohort.parts, log: warning, compressionChoice: { kind: 'from-a-plugin' } };
    const { result } = await withWorkers(cohort, 1, () => aggregateByTree(unknown, cohort.job));
    expect(result).toEqual(cohort.expected);
    expect(warned).toContain('aggregation-tree-failed');

    const forgetful = {
      ...cohort.blobs,
      putStream: async (source: AsyncIterable<Uint8Array>) => {
        const digest = await cohort.blobs.putStream(source);
        if (!cohort.stored.includes(digest)) await cohort.blobs.delete(digest);
        return digest;
      },
    };
    expect(await aggregateByTree({ ...cohort.parts, blobs: forgetful }, cohort.job)).toEqual(cohort.expected);
  });

  it('who is there counts, who left does not', async () => {
    const cohort = await cohortOf({ size: 1 });
    const { result } = await withWorkers(cohort, 2, async () => {
      while ((await countWorkers(cohort.store)) < 2) await new Promise(setImmediate);
      return countWorkers(cohort.store);
    });
    expect(result).toBe(2);
    expect(await countWorkers(cohort.store)).toBe(0);
  });

  describe.skipIf(NO_POSTGRES !== undefined)(`over PostgreSQL ${NO_POSTGRES ?? ''}`, () => {
    let server: PostgresServer;
    beforeAll(async () => {
      server = await startPostgres();
    });
    afterAll(() => server?.stop());

    it('two workers with connections of their own, cut again and again, give the same bits', async () => {
      const url = await server.newDatabase();
      const stores = await Promise.all([0, 1, 2].map(() => openPostgresStore(url)));
      const shape = { leafMembers: 2, mergedSums: 2 };
      const cohort = await cohortOf({ size: 16, shape, store: stores[0]! });
      const stop = new AbortController();
      const { blobs } = cohort;
      const workers = [1, 2].map((i) =>
        runAggregationWorker(
          { store: stores[i]!, blobs, compressions, timers: shortTimers, log, name: `w${i}` },
          stop.signal,
        ),
      );
      let cutting = true;
      const cuts = (async () => {
        for (let i = 0; i < 10 && cutting; i++) await server.cutConnections();
      })();
      const warned: string[] = [];
      const parts = {
        ...cohort.parts,
        timers: shortTimers,
        log: { ...log, warn: (event: string) => void warned.push(event) },
      };
      expect(await aggregateByTree(parts, cohort.job)).toEqual(cohort.expected);
      expect(warned).toEqual([]);
      cutting = false;
      await cuts;
      stop.abort();
      await Promise.all(workers);
      await Promise.all(stores.map((store) => store.close()));
    });
  });
});
