/**
 * The rows of runs that somebody looks at, kept up to date from their events and told as they change. A long journal is read
 * in pieces, so that clients do not wait for a page.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Timers } from '../../base/clock.ts';
import { sleep } from '../../base/clock.ts';
import { createRunFold, type RunFold } from '../../runs/view/fold.ts';
import type { RunSource } from './run-source.ts';

export interface RunViews {
  /** With everything that is in the journal now. */
  of(run: string): Promise<RunFold>;
  /** Server-sent events (HTML standard §9.2) until the signal; `id` is the last event that the rows know. */
  follow(run: string, afterSeq: number, signal: AbortSignal): AsyncGenerator<string>;
}

interface Kept {
  readonly createdMs: number;
  readonly fold: RunFold;
  /** The reading under way; others wait for it. */
  reading: Promise<void>;
}

const MOST_KEPT = 8;
/** Events between two turns of the event loop. */
const PIECE = 200;
/** What comes in quick succession is told at once. */
const GATHER_MS = 150;

export function createRunViews(source: RunSource, timers: Timers): RunViews {
  const kept = new Map<string, Kept>();

  function keptOf(run: string, createdMs: number): Kept {
    const known = kept.get(run);
    // A run that was forgotten may have left its name to another one.
    const found =
      known?.createdMs === createdMs
        ? known
        : { createdMs, fold: createRunFold(), reading: Promise.resolve() };
    kept.delete(run);
    kept.set(run, found);
    for (const name of kept.keys()) if (kept.size > MOST_KEPT) kept.delete(name);
    return found;
  }

  async function of(run: string, createdMs?: number): Promise<RunFold> {
    const found = keptOf(run, createdMs ?? (await source.summary(run)).createdMs);
    const { fold } = found;
    // Also after a reading that failed.
    found.reading = found.reading.catch(() => undefined).then(() => catchUp(source, run, fold));
    await found.reading;
    return fold;
  }

  return {
    of: (run) => of(run),
    async *follow(run, afterSeq, signal) {
      let after = afterSeq;
      let told = '';
      while (!signal.aborted) {
        const heard = source.changed(run, signal);
        const summary = await source.summary(run);
        const fold = await of(run, summary.createdMs);
        const changes = fold.changesAfter(after);
        const text = JSON.stringify(summary);
        if (fold.seq < after) yield message('restart', 0, {});
        else if (fold.seq > after || text !== told)
          yield message('change', fold.seq, { summary, ...changes });
        else yield ': waiting\n\n';
        told = text;
        after = fold.seq < after ? 0 : fold.seq;
        await heard;
        await sleep(timers, GATHER_MS, signal);
      }
    },
  };
}

async function catchUp(source: RunSource, run: string, fold: RunFold): Promise<void> {
  const events = await source.events(run, fold.seq);
  for (const [i, { seq, event }] of events.entries()) {
    if (seq > fold.seq) fold.add(seq, event);
    if (i % PIECE === PIECE - 1) await nextTurn();
  }
}

function message(event: string, id: number, data: object): string {
  return `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
