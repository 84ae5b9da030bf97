/**
 * The shell around the round machine: performs outstanding work, writes each event to the journal before anything follows
 * from it, and deletes blobs that nothing needs any more. Work is repeated after a crash, so it must be (and is) a pure
 * function of its description.
 */

import type { Clock } from '../base/clock.ts';
import { assert, HeadwaterError } from '../base/errors.ts';
import type { RunEvent, Work } from '../federation/events.ts';
import { replay, step } from '../federation/machine.ts';
import { aggregationDigests, liveBlobs, outstandingWork } from '../federation/outstanding.ts';
import type { RunState } from '../federation/state.ts';
import { appendEvent, eventsOf, stamped } from '../runs/journal-events.ts';
import type { Blobs } from '../storage/blobs.ts';
import { runCorrupt } from '../storage/failures.ts';
import type { Journal } from '../storage/journal.ts';

export interface Shell {
  readonly journal: Journal;
  readonly blobs: Blobs;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  perform(work: Work): Promise<RunEvent>;
  /** After the event is in the journal. */
  onEvent?(work: Work, event: RunEvent, state: RunState): void;
}

/** Meeting a deletion of equal bytes is rare; meeting it again and again is a sign of something else. */
const MAX_ATTEMPTS = 5;

/**
 * Continues a run to its end and returns the final state. The journal holds at least the `created` event.
 * Throws ROUND_FAILED, INTERRUPTED, and what `perform` throws; the run can be continued after all but ROUND_FAILED.
 */
export async function drive(shell: Shell): Promise<RunState> {
  let state = replay(await eventsOf(shell.journal));
  await sweep(shell.blobs, state);
  return new Promise((resolve, reject) => {
    let stopped = false;
    let settling: Promise<void> = Promise.resolve();

    const stop = (finish: () => void) => {
      stopped = true;
      shell.signal?.removeEventListener('abort', interrupt);
      finish();
    };
    const fail = (error: unknown) => stop(() => reject(error));
    const interrupt = () => fail(interrupted());

    function launch(work: Work, attempt = 1): void {
      shell.perform(work).then(
        (event) => {
          // One at a time: between the check of an event's blobs and the next state nothing may be deleted.
          settling = settling.then(() => settle(work, stamped(event, shell.clock), attempt)).catch(fail);
        },
        (error) => !stopped && fail(error),
      );
    }

    async function settle(work: Work, event: RunEvent, attempt: number): Promise<void> {
      if (stopped) return;
      const results = digestsOf(event);
      // A blob equal to one that was deleted meanwhile: make it again.
      if (!(await allThere(shell.blobs, results))) {
        if (attempt === MAX_ATTEMPTS)
          throw runCorrupt(`the blobs of ${work.id} vanish as soon as they are written`, 'blobs');
        return launch(work, attempt + 1);
      }
      if (stopped) return;
      const next = step(state, event);
      await appendEvent(shell.journal, event);
      const before = liveBlobs(state);
      state = next.state;
      shell.onEvent?.(work, event, state);
      await forget(shell.blobs, [...before, ...results], liveBlobs(state));
      if (stopped) return;
      for (const effect of next.effects) if (effect.kind !== 'receipt') launch(effect);
      conclude();
    }

    function conclude(): void {
      if (state.status === 'finished') stop(() => resolve(state));
      if (state.status === 'failed') fail(roundFailed(state));
    }

    if (shell.signal?.aborted === true) return interrupt();
    shell.signal?.addEventListener('abort', interrupt);
    for (const work of outstandingWork(state)) launch(work);
    conclude();
  });
}

function digestsOf(event: RunEvent): string[] {
  switch (event.type) {
    case 'update-received':
      return event.personal === null ? [event.update] : [event.update, event.personal];
    case 'aggregated':
      return aggregationDigests(event);
    case 'arm-trained':
      return [event.params];
    default:
      return [];
  }
}

async function allThere(blobs: Blobs, digests: readonly string[]): Promise<boolean> {
  for (const digest of digests) if (!(await blobs.has(digest))) return false;
  return true;
}

async function forget(blobs: Blobs, candidates: readonly string[], live: ReadonlySet<string>): Promise<void> {
  for (const digest of new Set(candidates)) if (!live.has(digest)) await blobs.delete(digest);
}

/** What a crash left behind. Only when no work is under way. */
async function sweep(blobs: Blobs, state: RunState): Promise<void> {
  await forget(blobs, await blobs.list(), liveBlobs(state));
}

function interrupted(): HeadwaterError {
  return new HeadwaterError('INTERRUPTED', 'the run was stopped; everything finished so far is kept', {
    hint: 'Continue with the same command and --resume.',
  });
}

function roundFailed(state: RunState): HeadwaterError {
  assert(state.failure !== null, 'a failed run says why');
  return new HeadwaterError('ROUND_FAILED', state.failure, {
    hint: 'Lower training.optimizer.learningRate if training diverged, or federation.quorum to go on without some clients, and start a new run.',
  });
}
