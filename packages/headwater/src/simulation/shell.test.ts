import { describe, expect, it } from 'vitest';
import { fakeEngine, fakePerformer, fakePlanIn, fakePool, fakeTensors } from '../../test/support/fake-run.ts';
import { canonicalJson } from '../base/canonical.ts';
import { HeadwaterError } from '../base/errors.ts';
import { type Params, tensor } from '../base/tensor.ts';
import { type BoundCompression, bindCompression } from '../federation/compression/compression.ts';
import { encodedUpdateBytes } from '../federation/compression/encode.ts';
import { compressions } from '../federation/compression/registry.ts';
import type { RunEvent, Work } from '../federation/events.ts';
import { replay } from '../federation/machine.ts';
import { bindMethod, type Method } from '../federation/method.ts';
import { fedavg } from '../federation/methods/fedavg.ts';
import { encodeParams } from '../federation/params.ts';
import type { RunPlan } from '../federation/plan.ts';
import type { RunState } from '../federation/state.ts';
import type { Pool } from '../jobs/pool.ts';
import { metricsOf, metricsText } from '../runs/metrics.ts';
import { resultsOf } from '../runs/results.ts';
import type { Blobs } from '../storage/blobs.ts';
import type { Journal, Json } from '../storage/journal.ts';
import { memoryJournal } from '../storage/memory.ts';
import { memoryBlobs } from '../storage/memory-blobs.ts';
import type { Engine } from '../training/engine.ts';
import { perform } from './perform.ts';
import { drive, type Shell } from './shell.ts';

const clock = { nowMs: () => 0 };
const provenance = { facts: {}, recipe: { name: 'fake' }, environment: {} };

function begun(plan: RunPlan): Journal {
  return memoryJournal([{ type: 'created', plan, provenance } as unknown as Json]);
}

function shellOver(
  plan: RunPlan,
  journal: Journal,
  blobs: Blobs,
  pool: Pool,
  more: Partial<Shell> = {},
): Shell {
  const performer = fakePerformer(plan, pool);
  return { journal, blobs, clock, perform: (work) => perform(performer, work, () => undefined), ...more };
}

const eventsIn = async (journal: Journal) =>
  (await journal.readAll()).map(({ event }) => event as unknown as RunEvent);

/** Everything that must not depend on luck. */
async function fingerprint(state: RunState, journal: Journal, exported: Params | undefined): Promise<string> {
  const adapter = exported === undefined ? '' : Buffer.from(encodeParams(exported)).toString('hex');
  return canonicalJson([state, metricsText(metricsOf(await eventsIn(journal))), adapter]);
}

async function wholeRun(
  more: Partial<Shell> = {},
  compression?: BoundCompression,
): Promise<{ fingerprint: string; journal: Journal; blobs: Blobs }> {
  const blobs = memoryBlobs();
  const plan = await fakePlanIn(blobs);
  const journal = begun(plan);
  let exported: Params | undefined;
  const pool = fakePool(
    blobs,
    undefined,
    undefined,
    (params) => {
      exported = params;
    },
    compression,
  );
  const state = await drive(shellOver(plan, journal, blobs, pool, more));
  return { fingerprint: await fingerprint(state, journal, exported), journal, blobs };
}

class Crash extends Error {}

/** Counts durable operations; the k-th one crashes the "process", before or after it takes effect. */
function crashing(blobs: Blobs, journal: Journal, at: number, when: 'before' | 'after') {
  let count = 0;
  const guard = <T>(operation: () => T): T => {
    count += 1;
    if (count > at || (count === at && when === 'before')) throw new Crash();
    const result = operation();
    if (count === at) throw new Crash();
    return result;
  };
  /** The bytes may be on disk although the caller never heard of it. */
  const stores = async (store: () => Promise<string>): Promise<string> => {
    let stored: Promise<string> | undefined;
    try {
      return await guard(() => {
        stored = store();
        return stored;
      });
    } finally {
      await stored;
    }
  };
  const guardedBlobs: Blobs = {
    ...blobs,
    put: (bytes) => stores(() => blobs.put(bytes)),
    putStream: (source) => stores(() => blobs.putStream(source)),
    delete: async (digest) => guard(() => blobs.delete(digest)),
  };
  const guardedJournal: Journal = {
    get lastSeq() {
      return journal.lastSeq;
    },
    append: async (events, expectedSeq) => guard(() => journal.append(events, expectedSeq)),
    readAll: () => journal.readAll(),
    readAfter: (seq) => journal.readAfter(seq),
    saveSnapshot: async (snapshot) => guard(() => journal.saveSnapshot(snapshot)),
    loadSnapshot: () => journal.loadSnapshot(),
    close: async () => undefined,
  };
  return { blobs: guardedBlobs, journal: guardedJournal, reached: () => count >= at };
}

describe('shell: a run in one process', () => {
  it('runs to the end, twice to the same bits, and keeps live blobs only', async () => {
    const [first, second] = [await wholeRun(), await wholeRun()];
    expect(first.fingerprint).toBe(second.fingerprint);
    const results = resultsOf(await eventsIn(first.journal));
    expect(results.status).toBe('finished');
    // Three rounds of three owners, two steps of two examples of three tokens each; centralised sees as much.
    expect(results.federated).toMatchObject({ sequentialSteps: 6, totalSteps: 18, tokensSeen: 108 });
    expect(results.centralised).toMatchObject({ sequentialSteps: 18, totalSteps: 18, tokensSeen: 108 });
    expect(Object.keys(results.localOnly)).toEqual(['a', 'b', 'c']);
    const local = Object.values(results.localOnly).reduce((sum, arm) => sum + arm.tokensSeen, 0);
    expect(local).toBe(108);
    expect((await first.blobs.list()).length).toBeLessThanOrEqual(8);
  });

  it('work that finishes in another order gives the same run', async () => {
    const { fingerprint: expected } = await wholeRun();
    for (const seed of [1, 2, 3, 4, 5]) {
      const held: (() => void)[] = [];
      let turn = seed;
      const blobs = memoryBlobs();
      const plan = await fakePlanIn(blobs);
      const journal = begun(plan);
      let exported: Params | undefined;
      const pool = fakePool(blobs, undefined, undefined, (params) => {
        exported = params;
      });
      const performer = fakePerformer(plan, pool);
      const later = async (work: Work) => {
        const event = await perform(performer, work, () => undefined);
        await new Promise<void>((resolve) => held.push(resolve));
        return event;
      };
      const release = setInterval(() => {
        turn = (turn * 48271) % 2147483647;
        held.splice(turn % Math.max(1, held.length), 1)[0]?.();
      }, 0);
      const state = await drive(shellOver(plan, journal, blobs, pool, { perform: later }));
      clearInterval(release);
      expect(await fingerprint(state, journal, exported)).toBe(expected);
    }
  });

  it('a crash before or after any durable operation, then a restart, gives the same bits', async () => {
    const { fingerprint: expected } = await wholeRun();
    let crashes = 0;
    for (let at = 1, reached = true; reached; at++) {
      for (const when of ['before', 'after'] as const) {
        const blobs = memoryBlobs();
        const plan = await fakePlanIn(blobs);
        const journal = begun(plan);
        const broken = crashing(blobs, journal, at, when);
        const crashed = shellOver(plan, broken.journal, broken.blobs, fakePool(broken.blobs));
        const outcome = await drive(crashed).catch((error: unknown) => error);
        reached = broken.reached();
        if (reached) expect(outcome).toBeInstanceOf(Crash);
        if (reached) crashes += 1;
        let exported: Params | undefined;
        const pool = fakePool(blobs, undefined, undefined, (params) => {
          exported = params;
        });
        const state = await drive(shellOver(plan, journal, blobs, pool));
        const last = (await eventsIn(journal)).at(-1)?.type;
        expect(last).toBe('published');
        // A crash right after the last append: nothing is left to do, the export was done before.
        if (exported !== undefined) expect(await fingerprint(state, journal, exported)).toBe(expected);
        else expect(canonicalJson(state)).toBe(canonicalJson(JSON.parse(expected)[0]));
      }
    }
    expect(crashes).toBeGreaterThan(80);
  });

  it('updates travel compressed, and what a compression lost comes back with the client, also after a crash', async () => {
    const record = compressions.get('top-k')!;
    const topK = bindCompression(record, record.options.parse({ fraction: 0.4 }));
    const plain = await wholeRun();
    const whole = await wholeRun({}, topK);
    expect(whole.fingerprint).not.toBe(plain.fingerprint);
    const updates = (await eventsIn(whole.journal)).filter((event) => event.type === 'update-received');
    expect(new Set(updates.map(({ personal }) => personal)).size).toBe(updates.length);
    expect(updates.every(({ upBytes }) => upBytes === encodedUpdateBytes(topK, fakeTensors))).toBe(true);
    const replica = memoryBlobs();
    const plan = await fakePlanIn(replica);
    const journal = begun(plan);
    for (const at of [9, 17, 31]) {
      const broken = crashing(replica, journal, at, 'after');
      const pool = fakePool(broken.blobs, undefined, undefined, undefined, topK);
      await expect(drive(shellOver(plan, broken.journal, broken.blobs, pool))).rejects.toThrow(Crash);
    }
    let exported: Params | undefined;
    const keep = (params: Params) => {
      exported = params;
    };
    const pool = fakePool(replica, undefined, undefined, keep, topK);
    const state = await drive(shellOver(plan, journal, replica, pool));
    expect(await fingerprint(state, journal, exported)).toBe(whole.fingerprint);
  });

  it('an aborted signal stops with INTERRUPTED, and the run can be continued', async () => {
    const { fingerprint: expected } = await wholeRun();
    const blobs = memoryBlobs();
    const plan = await fakePlanIn(blobs);
    const journal = begun(plan);
    const controller = new AbortController();
    let exported: Params | undefined;
    const pool = fakePool(blobs, undefined, undefined, (params) => {
      exported = params;
    });
    const onEvent = () => {
      if (journal.lastSeq === 7) controller.abort();
    };
    const stopped = drive(shellOver(plan, journal, blobs, pool, { signal: controller.signal, onEvent }));
    await expect(stopped).rejects.toMatchObject({
      code: 'INTERRUPTED',
      hint: expect.stringContaining('--resume'),
    });
    expect(journal.lastSeq).toBe(7);
    const state = await drive(shellOver(plan, journal, blobs, pool));
    expect(await fingerprint(state, journal, exported)).toBe(expected);
  });

  it('a blob that vanished before its event was written is made again', async () => {
    const { fingerprint: expected } = await wholeRun();
    const blobs = memoryBlobs();
    const plan = await fakePlanIn(blobs);
    const journal = begun(plan);
    let exported: Params | undefined;
    const pool = fakePool(blobs, undefined, undefined, (params) => {
      exported = params;
    });
    const performer = fakePerformer(plan, pool);
    let spoilt = 0;
    const spoiling = async (work: Work) => {
      const event = await perform(performer, work, () => undefined);
      if (event.type === 'update-received' && spoilt++ < 2) await blobs.delete(event.update);
      return event;
    };
    const state = await drive(shellOver(plan, journal, blobs, pool, { perform: spoiling }));
    expect(spoilt).toBeGreaterThan(2);
    expect(await fingerprint(state, journal, exported)).toBe(expected);
  });
});

describe('shell: clients that fail', () => {
  const diverging: Engine = {
    ...fakeEngine,
    train: async (params, examples, options, onStep) => {
      if (options.seedPath.includes('b'))
        throw new HeadwaterError('TRAINING_DIVERGED', 'step 1: the loss is NaN');
      return fakeEngine.train(params, examples, options, onStep);
    },
  };

  async function runWith(engine: Engine, quorum: number | undefined): Promise<Journal> {
    const blobs = memoryBlobs();
    const plan = await fakePlanIn(blobs, { quorum });
    const journal = begun(plan);
    await drive(shellOver(plan, journal, blobs, fakePool(blobs, undefined, engine))).catch(
      (error: unknown) => {
        expect(error).toMatchObject({ code: 'ROUND_FAILED' });
      },
    );
    return journal;
  }

  it('a client that diverges loses the round, with a quorum the run goes on and says so', async () => {
    const journal = await runWith(diverging, 2);
    const results = resultsOf(await eventsIn(journal));
    expect(results.status).toBe('finished');
    expect(results.lostUpdates).toHaveLength(3);
    expect(results.lostUpdates[0]).toEqual({ round: 1, owner: 'b', reason: 'step 1: the loss is NaN' });
    expect(results.centralised?.failure).toBeNull();
  });

  it('without a quorum the run fails for good', async () => {
    const journal = await runWith(diverging, undefined);
    expect(replay(await eventsIn(journal))).toMatchObject({
      status: 'failed',
      failure: expect.stringContaining('NaN'),
    });
  });

  it('an update with NaN never reaches the sum', async () => {
    const poisoned: Engine = {
      ...fakeEngine,
      train: async (params, examples, options, onStep) => {
        const trained = await fakeEngine.train(params, examples, options, onStep);
        if (!options.seedPath.includes('c')) return trained;
        const bad = [...trained.params].map(
          ([name, { shape, data }]) =>
            [
              name,
              tensor(
                'float32',
                shape,
                data.map(() => Number.NaN),
              ),
            ] as const,
        );
        return { ...trained, params: new Map(bad) };
      },
    };
    const journal = await runWith(poisoned, 1);
    const members = (await eventsIn(journal)).filter((event) => event.type === 'aggregated');
    for (const event of members) expect(event.report.numUpdates).toBe(2);
    expect(resultsOf(await eventsIn(journal)).lostUpdates[0]).toMatchObject({
      owner: 'c',
      reason: expect.stringMatching(/NaN|NonFinite/),
    });
  });
});

describe('shell: personal tensors', () => {
  const personal: Method<Record<string, never>> = {
    ...fedavg,
    id: 'personal-b',
    selectTrainable: ({ name }) => (name === 'lora_B' ? 'personal' : 'shared'),
  };

  it('stay with their owner, travel never, and survive a restart', async () => {
    const run = async (cut: number) => {
      const blobs = memoryBlobs();
      const plan = await fakePlanIn(blobs, { arms: [] });
      const journal = begun(plan);
      const pool = fakePool(blobs, bindMethod(personal, {}));
      const controller = new AbortController();
      const onEvent = () => {
        if (journal.lastSeq === cut) controller.abort();
      };
      await drive(shellOver(plan, journal, blobs, pool, { signal: controller.signal, onEvent })).catch(
        () => undefined,
      );
      const state = await drive(shellOver(plan, journal, blobs, pool));
      return { state, journal, blobs };
    };
    const whole = await run(0);
    const last = whole.state.closed.at(-1)!;
    expect(Object.keys(last.personal)).toEqual(['a', 'b', 'c']);
    expect(new Set(Object.values(last.personal)).size).toBe(3);
    for (const event of await eventsIn(whole.journal))
      if (event.type === 'update-received') expect(event.personal).not.toBeNull();
    const interrupted = await run(6);
    expect(canonicalJson(interrupted.state)).toBe(canonicalJson(whole.state));
    // Only lora_A is in what the server adds up: the global lora_B is still the initial one.
    const { decodeParams } = await import('../federation/params.ts');
    const before = decodeParams(await whole.blobs.get(whole.state.plan.initialParams));
    const after = decodeParams(await whole.blobs.get(last.params));
    expect([...after.get('lora_B')!.data]).toEqual([...before.get('lora_B')!.data]);
    expect([...after.get('lora_A')!.data]).not.toEqual([...before.get('lora_A')!.data]);
  });
});
