/** Applies retention now and then while a coordinator serves. Blobs are left to the coordinator, which knows what is under way. */

import type { Timers } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../ports.ts';
import { applyRetention, type RetentionParts } from './retention.ts';

export interface TidyParts extends Omit<RetentionParts, 'collect'> {
  readonly timers: Timers;
  readonly log: Log;
  /** Runs that ended are forgotten after so many days; undefined: never. */
  readonly keepDays?: number | undefined;
}

const DAY_MS = 24 * 3600 * 1000;
const FIRST_MS = 60_000;
const EVERY_MS = 6 * 3600 * 1000;

/** Returns how to stop; a pass under way is waited for. */
export function keepTidy(parts: TidyParts): () => Promise<void> {
  const { store, blobs, clock, timers, log, keepDays } = parts;
  const rules = { keepEndedMs: keepDays === undefined ? null : keepDays * DAY_MS, uploadGraceMs: DAY_MS };
  let passing = Promise.resolve();
  let cancel = timers.after(FIRST_MS, begin);

  function begin(): void {
    passing = pass();
    cancel = timers.after(EVERY_MS, begin);
  }

  async function pass(): Promise<void> {
    try {
      const { runs, uploads } = await applyRetention({ store, blobs, clock }, rules);
      if (runs.length + uploads > 0) log.info('tidied', { runs, uploads });
    } catch (cause) {
      log.warn('not-tidied', { reason: messageOf(cause) });
    }
  }

  return async () => {
    cancel();
    await passing;
  };
}
