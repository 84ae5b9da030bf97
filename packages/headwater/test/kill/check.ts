/** What a run of the matrix left behind, and whether its result is the replay of its own journal. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestBytes } from '../../src/base/canonical.ts';
import { readRecord } from '../../src/coordinator/records.ts';
import { checkStore } from '../../src/coordinator/upkeep/check-store.ts';
import type { RunEvent } from '../../src/federation/events.ts';
import { replay, start, step } from '../../src/federation/machine.ts';
import { encodeParams } from '../../src/federation/params.ts';
import type { RunState } from '../../src/federation/state.ts';
import { eventsOf } from '../../src/runs/journal-events.ts';
import { openFileBlobs } from '../../src/storage/file-blobs.ts';
import { openPostgresStore } from '../../src/storage/postgres-store.ts';
import { openSqliteStore } from '../../src/storage/sqlite-store.ts';
import type { Store } from '../../src/storage/store.ts';
import { aggregated, initialParams, type KillRecipe, RUN, trained } from './model.ts';
import type { Row } from './row.ts';

export interface Remains {
  readonly events: readonly RunEvent[];
  readonly state: RunState;
  /** SHA-256 of what was published. */
  readonly result: string;
}

export function openAny(address: string): Promise<Store> {
  return address.startsWith('postgres:') ? openPostgresStore(address) : openSqliteStore(address);
}

/** Whether the end of the run is recorded. */
export async function isOver({ store: address }: Row): Promise<boolean> {
  const store = await openAny(address);
  try {
    return (await readRecord(store.records, 'runs', RUN))?.over != null;
  } finally {
    await store.close();
  }
}

/** Throws when something is missing, damaged or counted wrongly. */
export async function remainsOf({ store: address, folder, recipe }: Row): Promise<Remains> {
  const store = await openAny(address);
  try {
    const blobs = await openFileBlobs(join(folder, 'blobs'));
    await checkStore(store, blobs);
    const journal = await store.journals.open(RUN);
    const events = await eventsOf(journal);
    const state = replay(events);
    const record = await readRecord(store.records, 'runs', RUN);
    expect(state.status === 'finished', `the run is ${state.status}: ${state.failure}`);
    expect(record?.over?.status === 'finished', 'the record of the run does not say that it is over');
    expect((await blobs.uploads.list()).length === 0, 'uploads were left behind');
    const rounds = events.flatMap((event) => (event.type === 'aggregated' ? [event.round] : []));
    expect(String(rounds) === String(state.closed.map(({ round }) => round)), `rounds committed: ${rounds}`);
    const result = createHash('sha256').update(readFileSync(recipe.out)).digest('hex');
    expect(result === state.params, 'what was published is not the result of the journal');
    return { events, state, result };
  } finally {
    await store.close();
  }
}

function expect(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}

/**
 * The params after the last round, computed anew from the journal: every update is trained again from the params that its
 * owner had met, every round aggregated again from its frozen members. Throws when a digest is another.
 */
export async function recomputed(recipe: KillRecipe, events: readonly RunEvent[]): Promise<string> {
  const versions = [initialParams(recipe)];
  let state: RunState | undefined;
  for (const event of events) {
    if (event.type === 'aggregated') versions.push(await roundAgain(recipe, state!, event, versions));
    state =
      state === undefined
        ? start((event as { plan: RunState['plan'] }).plan).state
        : step(state, event).state;
  }
  return digestBytes(versions.at(-1)!);
}

async function roundAgain(
  recipe: KillRecipe,
  { plan, open }: RunState,
  event: Extract<RunEvent, { type: 'aggregated' }>,
  versions: readonly Uint8Array[],
): Promise<Uint8Array> {
  const { members, accepted } = open!;
  const updates = new Map(
    members!.map(({ owner, update }) => {
      const { round } = accepted[owner]!;
      const again = trained(recipe, owner, round, versions[round - 1]!);
      expect(digestBytes(again) === update, `round ${event.round}: another update of "${owner}" was counted`);
      return [update, again];
    }),
  );
  const load = async (digest: string) => updates.get(digest)!;
  const { params } = await aggregated(
    { round: event.round, members: members! },
    plan,
    versions.at(-1)!,
    load,
  );
  const bytes = encodeParams(params);
  expect(digestBytes(bytes) === event.params, `round ${event.round}: its members give other params`);
  return bytes;
}
