/**
 * The reference Store: everything in memory, and every change first in an append-only log over a Disk, one frame per change
 * that is whole or not there. A crash at any operation of the disk loses nothing that was acknowledged. It needs no
 * database; one process at a time opens it.
 */

import { type Clock, systemClock } from '../base/clock.ts';
import { assert } from '../base/errors.ts';
import type { Disk } from './disk.ts';
import { withStorageErrors } from './disk-failures.ts';
import { inTurn } from './in-turn.ts';
import { openLog } from './log.ts';
import type { Core, Decision } from './model/core.ts';
import { applyChange, type Change, changesOf, emptyState, type StoreState } from './model/state.ts';
import { storeOver } from './model/store.ts';
import type { Store } from './store.ts';

export interface LogStoreOptions {
  readonly where?: string;
  /** Of leases and tasks. */
  readonly clock?: Clock;
  /** The log is written anew when it is this many bytes longer than twice what it was when last written. Default 1 MiB. */
  readonly slackBytes?: number;
}

/** Opens or makes the log in the folder. Throws RUN_CORRUPT when it is damaged before its end, STORAGE_FAILED. */
export async function openLogStore(
  disk: Disk,
  folder: string,
  options: LogStoreOptions = {},
): Promise<Store> {
  const where = options.where ?? folder;
  const slackBytes = options.slackBytes ?? 2 ** 20;
  const state = emptyState();
  const log = await openLog(withStorageErrors(disk, where), folder, where, (changes) =>
    applyAll(state, changes as readonly Change[], where),
  );
  const turn = inTurn();
  let rewrittenBytes = log.bytes();
  let closed = false;

  async function change<T>(decide: (state: StoreState) => Decision<T>): Promise<T> {
    assert(!closed, 'the store is closed');
    const { changes, result } = decide(state);
    if (changes.length === 0) return result;
    await log.append(changes);
    applyAll(state, changes, where);
    if (log.bytes() > 2 * rewrittenBytes + slackBytes && (await log.rewrite([...changesOf(state)])))
      rewrittenBytes = log.bytes();
    return result;
  }

  const core: Core = {
    state,
    clock: options.clock ?? systemClock,
    where,
    change: (decide) => turn('', () => change(decide)),
  };
  return storeOver(core, () =>
    turn('', async () => {
      if (!closed) await log.close();
      closed = true;
    }),
  );
}

function applyAll(state: StoreState, changes: readonly Change[], where: string): void {
  for (const change of changes) applyChange(state, change, where);
}
