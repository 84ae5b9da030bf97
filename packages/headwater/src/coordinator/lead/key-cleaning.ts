/**
 * Destroys the noise keys that no further release needs, and goes on until it has: a store may refuse for a while. It knows from the
 * run’s state which those are, and makes no keys.
 */

import { sleep, type Timers } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { RunState } from '../../federation/state.ts';
import { nodesStillNeeded } from '../../federation/tree-rounds.ts';
import type { Log } from '../ports.ts';
import type { NoiseKeys } from './noise-keys.ts';

export interface KeyCleaning {
  /** Once; throws what the store throws. Before a further key is made, no other lives that nobody needs. */
  now(): Promise<void>;
  /** Again and again: true once they are destroyed, false when this was closed before. */
  untilDone(): Promise<boolean>;
  /** Nothing is tried again. */
  close(): void;
}

export interface KeyCleaningParts {
  readonly run: string;
  readonly keys: NoiseKeys;
  readonly state: () => RunState | undefined;
  readonly timers: Timers;
  readonly log: Log;
}

/** Between tries; the last one again and again. */
const RETRY_MS = [1_000, 5_000, 30_000] as const;

export function createKeyCleaning({ run, keys, state, timers, log }: KeyCleaningParts): KeyCleaning {
  const closing = new AbortController();

  async function now(): Promise<void> {
    const known = state();
    if (known?.plan.privacy !== undefined) await forgetKeys(keys, known);
  }

  async function isDone(): Promise<boolean> {
    try {
      await now();
      return true;
    } catch (cause) {
      log.warn('noise-keys-not-destroyed', { run, reason: messageOf(cause) });
      return false;
    }
  }

  return {
    now,
    async untilDone() {
      for (let tries = 0; ; tries++) {
        if (await isDone()) return true;
        await sleep(timers, RETRY_MS[tries] ?? RETRY_MS[2], closing.signal);
        if (closing.signal.aborted) return false;
      }
    },
    close: () => closing.abort(),
  };
}

/** Of releases and draws that are in the journal, and after the end of a run all. */
async function forgetKeys(keys: NoiseKeys, state: RunState): Promise<void> {
  const all = state.status === 'running' ? undefined : Number.POSITIVE_INFINITY;
  await keys.destroyUpTo(all ?? state.closed.length, nodesStillNeeded(state));
  if (state.plan.privacy?.poisson !== undefined) await keys.destroyDraws(all ?? lastDrawn(state));
}

/** Latest round whose cohort is in the journal. */
function lastDrawn({ open, closed }: RunState): number {
  return open === undefined || open.undrawn === true ? closed.length : open.round;
}
