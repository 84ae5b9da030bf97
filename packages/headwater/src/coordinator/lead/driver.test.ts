import { describe, expect, it } from 'vitest';
import { TINY_TENSORS } from '../../../sim/tiny-model.ts';
import { fakeTime } from '../../../test/support/fake-time.ts';
import { canonicalJson } from '../../base/canonical.ts';
import type { RunEvent } from '../../federation/events.ts';
import { replay, start, step } from '../../federation/machine.ts';
import { bindMethod } from '../../federation/method.ts';
import { fedavg } from '../../federation/methods/fedavg.ts';
import { createPlan } from '../../federation/plan.ts';
import type { Journal, Json } from '../../storage/journal.ts';
import { memoryJournal } from '../../storage/memory.ts';
import { type Committed, createDriver, type Driver } from './driver.ts';
import { recover } from './recover.ts';

const machine = { start, step };
const { clock } = fakeTime();

const plan = createPlan(
  {
    seed: 1,
    owners: ['a', 'b', 'c'].map((owner) => ({ owner, numExamples: 1, numTokens: 1 })),
    tensors: TINY_TENSORS,
    baseModel: 'm',
    initialParams: 'p',
    method: { kind: 'fedavg' },
    rounds: 3,
    localSteps: 1,
    weighting: 'uniform',
    serverLearningRate: 1,
    fixedPoint: { fractionBits: 30, range: 8 },
    earlyStopping: null,
    keepBest: false,
    arms: [],
    validateEveryRounds: 0,
    test: false,
    pace: { belowQuorum: 'extend', evaluatedBy: 'owners' },
  },
  bindMethod(fedavg, {}),
);

const created: RunEvent = { type: 'created', plan, provenance: null };

function update(owner: string): RunEvent {
  const stats = { steps: 1, numExamples: 1, numTokens: 1, numTargets: 1, meanLoss: 1, lastLoss: 1 };
  const check = { ok: true, l2Norm: 1 } as const;
  return {
    type: 'update-received',
    round: 1,
    owner,
    update: `u-${owner}`,
    personal: null,
    upBytes: 1,
    downBytes: 1,
    check,
    stats,
  };
}

interface Bench {
  readonly driver: Driver;
  readonly journal: Journal;
  readonly appends: number[];
  readonly committed: Committed[];
  readonly broken: unknown[];
}

async function bench(journal: Journal = memoryJournal(), snapshotEvents = 1000): Promise<Bench> {
  const appends: number[] = [];
  const committed: Committed[] = [];
  const broken: unknown[] = [];
  const driver = createDriver(
    {
      journal,
      machine,
      clock,
      snapshotEvents,
      onCommitted: (items) => committed.push(...items),
      onAppended: (events) => appends.push(events),
      onBroken: (cause) => broken.push(cause),
      onSnapshotFailed: (cause) => broken.push(cause),
    },
    await recover(journal, machine),
  );
  return { driver, journal, appends, committed, broken };
}

describe('driver of a run', () => {
  it('writes what queued while it wrote at once, each decided after those before it', async () => {
    const { driver, appends, journal } = await bench();
    await driver.submit(created);
    const steps = await Promise.all(
      [update('a'), update('b'), update('a'), update('c')].map((event) => driver.submit(event)),
    );
    expect(appends).toEqual([1, 3]);
    expect(steps.map(({ effects }) => effects.map(({ kind }) => kind))).toEqual([
      ['receipt'],
      ['receipt'],
      ['receipt'],
      ['receipt', 'aggregate'],
    ]);
    // The same update twice is one entry and two receipts.
    expect(journal.lastSeq).toBe(4);
    expect(driver.state?.open?.phase).toBe('aggregating');
  });

  it('tells nobody before it is durable', async () => {
    const inner = memoryJournal();
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const slow: Journal = new Proxy(inner, {
      get: (target, key) =>
        key === 'append'
          ? async (events: readonly Json[], seq: number) => {
              await gate;
              return target.append(events, seq);
            }
          : Reflect.get(target, key),
    });
    const { driver, committed } = await bench(slow);
    const submitted = driver.submit(created);
    await new Promise((resolve) => setImmediate(resolve));
    expect([driver.state, committed.length]).toEqual([undefined, 0]);
    release();
    await submitted;
    expect([driver.state?.status, committed.length]).toEqual(['running', 1]);
  });

  it('an event that the machine refuses is its sender’s trouble alone', async () => {
    const { driver, broken } = await bench();
    await driver.submit(created);
    const counts = { owner: 'd', numExamples: 1, numTokens: 1 };
    const foreign: RunEvent = {
      type: 'aggregated',
      round: 1,
      membership: 'x',
      params: 'q',
      serverState: null,
      report: {} as never,
      aggregateNorm: 0,
    };
    await Promise.all(['a', 'b', 'c'].map((owner) => driver.submit(update(owner))));
    const [refused, joined] = await Promise.allSettled([
      driver.submit(foreign),
      driver.submit({ type: 'owner-joined', counts }),
    ]);
    expect([refused?.status, joined?.status]).toEqual(['rejected', 'fulfilled']);
    expect(broken).toEqual([]);
  });

  it('breaks when it cannot write: everything after it is refused, nothing is half known', async () => {
    const { driver, journal, broken } = await bench();
    await driver.submit(created);
    await journal.append([{ type: 'paused', reason: 'somebody else writes here' }], 1);
    const outcomes = await Promise.allSettled(
      [update('a'), update('b')].map((event) => driver.submit(event)),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(broken).toMatchObject([{ code: 'RUN_LOCKED' }]);
    await expect(driver.submit(update('c'))).rejects.toMatchObject({ code: 'RUN_LOCKED' });
    expect(Object.keys(driver.state?.open?.accepted ?? {})).toEqual([]);
  });

  it('recovers the same state and times from a snapshot as from the whole journal', async () => {
    const { driver, journal } = await bench(memoryJournal(), 2);
    await driver.submit(created);
    for (const owner of ['a', 'b']) await driver.submit(update(owner));
    await driver.close();
    const fromSnapshot = await recover(journal, machine);
    expect(fromSnapshot.snapshotSeq).toBeGreaterThan(0);
    const events = (await journal.readAll()).map(({ event }) => event as unknown as RunEvent);
    expect(canonicalJson(fromSnapshot.state)).toBe(canonicalJson(replay(events)));
    expect(fromSnapshot.times).toEqual(driver.times);
    expect(fromSnapshot.seq).toBe(3);
    await expect(driver.submit(update('c'))).rejects.toThrow('led by nobody');
  });
});
