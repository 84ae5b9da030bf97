import { describe, expect, it } from 'vitest';
import { fakePlan, runToEnd } from '../../../test/support/fake-world.ts';
import { digestBytes } from '../../base/canonical.ts';
import type { RunEvent } from '../../federation/events.ts';
import type { Json } from '../../storage/journal.ts';
import { memoryStore } from '../../storage/memory.ts';
import { memoryBlobs } from '../../storage/memory-blobs.ts';
import { changeRecord, listRecords, type RunRecord } from '../records.ts';
import { applyRetention, neededBlobs, refuseWhileLed } from './retention.ts';

const DAY_MS = 24 * 3600 * 1000;
const NOW_MS = 100 * DAY_MS;
const rules = { keepEndedMs: 30 * DAY_MS, uploadGraceMs: DAY_MS };

/** A store with one run for each list of events, all `endedMs` old. */
async function world(
  runs: Readonly<Record<string, { events: readonly RunEvent[]; over: RunRecord['over']; endedMs: number }>>,
) {
  const clock = { nowMs: () => NOW_MS };
  const store = memoryStore({ clock });
  const blobs = memoryBlobs({ clock });
  for (const [run, { events, over, endedMs }] of Object.entries(runs)) {
    const record = { createdMs: endedMs, recipe: {}, recipeDigest: '', over, paused: null };
    const manifest = { text: '', operatorKey: '', signature: '' };
    await changeRecord(store.records, 'runs', run, () => ({ ...record, manifest }));
    if (events.length === 0) continue;
    const journal = await store.journals.open(run);
    await journal.append(
      events.map((event) => ({ ...event, observed: { endedMs } })) as unknown as Json[],
      0,
    );
    await journal.close();
  }
  const deleted: string[] = [];
  const collect = async (orphans: readonly string[]) => {
    for (const orphan of orphans) await blobs.delete(orphan);
    deleted.push(...orphans);
  };
  return { store, blobs, clock, collect, deleted };
}

const over = { status: 'finished', reason: null, blobs: [] } as const;
const bytes = (text: string) => new TextEncoder().encode(text);

/** Digests stand in for blobs: whatever a plan or an event names is stored under a text of its own. */
function withBlobs(text: string): { plan: ReturnType<typeof fakePlan>; digest: string } {
  const digest = digestBytes(bytes(text));
  return { plan: fakePlan({ initialParams: digest, arms: [], validateEveryRounds: 0, test: false }), digest };
}

describe('retention', () => {
  it('ended runs are forgotten with everything of theirs after their time, others are kept', async () => {
    const { events } = runToEnd(fakePlan());
    const old = NOW_MS - 31 * DAY_MS;
    const parts = await world({
      old: { events, over, endedMs: old },
      recent: { events, over, endedMs: NOW_MS - 29 * DAY_MS },
      running: { events: events.slice(0, 3), over: null, endedMs: old },
      cancelled: { events: [], over: { ...over, status: 'cancelled' }, endedMs: old },
      waiting: { events: [], over: null, endedMs: old },
    });
    for (const run of ['old', 'recent']) {
      const token = { run, owner: null, hash: '', usesLeft: 0, expiresMs: 0, revoked: false, redeemedBy: [] };
      await changeRecord(parts.store.records, 'tokens', `token-${run}`, () => token);
      await changeRecord(parts.store.records, 'owners', `${run}/a`, () => ({ clientId: 'c' }));
    }
    const { runs } = await applyRetention(parts, rules);
    expect(runs).toEqual(['cancelled', 'old']);
    expect(await parts.store.journals.list()).toEqual(['recent', 'running']);
    const keys = async (collection: 'runs' | 'tokens' | 'owners') =>
      (await listRecords(parts.store.records, collection)).map(({ key }) => key);
    expect(await keys('runs')).toEqual(['recent', 'running', 'waiting']);
    expect([await keys('tokens'), await keys('owners')]).toEqual([['token-recent'], ['recent/a']]);
    expect((await applyRetention(parts, rules)).runs).toEqual([]);
  });

  it('without a time nothing is forgotten', async () => {
    const { events } = runToEnd(fakePlan());
    const parts = await world({ old: { events, over, endedMs: 0 } });
    expect((await applyRetention(parts, { ...rules, keepEndedMs: null })).runs).toEqual([]);
  });

  it('an interrupted removal is finished the next time', async () => {
    const { events } = runToEnd(fakePlan());
    const parts = await world({ old: { events, over, endedMs: 0 } });
    await parts.store.journals.remove('old');
    expect((await applyRetention(parts, rules)).runs).toEqual(['old']);
  });

  it('blobs that a journal refers to are kept, the rest is swept', async () => {
    const { plan, digest } = withBlobs('initial');
    const { events } = runToEnd(plan);
    // An open round with one accepted update.
    const running = events.slice(0, 2);
    const parts = await world({ running: { events: running, over: null, endedMs: NOW_MS } });
    await parts.blobs.put(bytes('initial'));
    const orphan = await parts.blobs.put(bytes('orphan'));
    expect((await applyRetention(parts, rules)).orphans).toBe(1);
    expect(parts.deleted).toEqual([orphan]);
    expect(await parts.blobs.list()).toEqual([digest]);
    expect([...(await neededBlobs(parts.store)).states.keys()]).toEqual(['running']);
  });

  it('of an ended run what its record keeps is kept, and no more', async () => {
    const { plan } = withBlobs('initial');
    const result = digestBytes(bytes('result'));
    const { events } = runToEnd(plan);
    const parts = await world({ ended: { events, over: { ...over, blobs: [result] }, endedMs: NOW_MS } });
    for (const text of ['initial', 'result']) await parts.blobs.put(bytes(text));
    await applyRetention(parts, rules);
    expect(await parts.blobs.list()).toEqual([result]);
  });

  it('nothing is swept while a run aggregates, or where nobody says how', async () => {
    const { plan } = withBlobs('initial');
    const { events } = runToEnd(plan);
    const frozen = events.slice(0, 1 + plan.owners.length);
    const parts = await world({ running: { events: frozen, over: null, endedMs: NOW_MS } });
    await parts.blobs.put(bytes('partial sum'));
    expect((await applyRetention(parts, rules)).orphans).toBeNull();
    const { collect: _, ...shared } = await world({});
    await shared.blobs.put(bytes('x'));
    expect((await applyRetention(shared, rules)).orphans).toBeNull();
    expect(await shared.blobs.list()).toHaveLength(1);
  });

  it('where several processes may lead, a run with a leader is refused', async () => {
    const { store } = await world({ demo: { events: [], over: null, endedMs: 0 } });
    await refuseWhileLed(store);
    const fence = await store.leases.acquire('run/demo', 'node 1', 1000);
    await expect(refuseWhileLed(store)).rejects.toMatchObject({ code: 'RUN_LOCKED' });
    await store.leases.release(fence!);
    await refuseWhileLed(store);
  });

  it('uploads are dropped when they were not continued within their time', async () => {
    const parts = await world({});
    const plan = { key: 'k', digest: digestBytes(bytes('x')), bytes: 1, chunkBytes: 1 };
    await parts.blobs.uploads.open(plan);
    expect((await applyRetention(parts, rules)).uploads).toBe(0);
    const later = { ...parts, clock: { nowMs: () => NOW_MS + DAY_MS + 1 } };
    expect((await applyRetention(later, rules)).uploads).toBe(1);
    expect(await parts.blobs.uploads.list()).toEqual([]);
  });
});
