/**
 * Which blobs some run of the store still needs: the live ones of runs that are led here and what runs that are over leave.
 * Where other processes may lead runs too, nothing is deleted on the way; the retention command does it.
 */

import { liveBlobs } from '../../federation/outstanding.ts';
import type { RunState } from '../../federation/state.ts';
import type { LedRun } from '../lead/led-run.ts';
import type { CoordinatorParts } from '../ports.ts';
import { listRecords } from '../records.ts';

export interface KeptBlobs {
  mayDelete(digest: string): boolean;
  load(): Promise<void>;
  /** A run was made: until it is over, nothing is deleted while it is not led here. */
  expect(run: string): void;
  /** What a crash left behind. Before any request is answered. */
  sweep(): Promise<void>;
}

export function createKeptBlobs(
  { store, blobs, exclusive, log }: CoordinatorParts,
  ledRuns: () => readonly LedRun[],
): KeptBlobs {
  let ofEndedRuns: ReadonlySet<string> = new Set();
  const known = new WeakMap<RunState, ReadonlySet<string>>();
  const expected = new Set<string>();
  let ready = false;

  /** Of one state it is asked for every candidate. */
  function liveIn(state: RunState): ReadonlySet<string> {
    const found = known.get(state) ?? liveBlobs(state);
    known.set(state, found);
    return found;
  }

  function mayDelete(digest: string): boolean {
    if (!ready || !exclusive || ofEndedRuns.has(digest)) return false;
    const led = ledRuns();
    // What a run needs that is not led at the moment is not known.
    const names = new Set(led.map(({ run }) => run));
    if ([...expected].some((run) => !names.has(run))) return false;
    return led.every(({ state }) => state === undefined || !liveIn(state).has(digest));
  }

  return {
    mayDelete,
    async load() {
      const runs = await listRecords(store.records, 'runs');
      ofEndedRuns = new Set(runs.flatMap(({ value }) => value.over?.blobs ?? []));
      for (const { key, value } of runs) if (value.over === null) expected.add(key);
      ready = true;
    },
    expect(run) {
      expected.add(run);
    },
    async sweep() {
      if (!exclusive || ledRuns().some(({ state }) => state === undefined)) return;
      const unneeded = (await blobs.list()).filter(mayDelete);
      for (const digest of unneeded) await blobs.delete(digest);
      if (unneeded.length > 0) log.info('swept', { blobs: unneeded.length });
    },
  };
}
