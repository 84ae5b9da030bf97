/** Tokens per second over the last seconds, and the time left, from amounts of work. Time comes in as an argument. */

import type { Amount } from '../jobs/progress.ts';

const WINDOW_MS = 15_000;

export interface Speed {
  /** One optimizer step of one client. */
  step(numTokens: number, nowMs: number): void;
  tokensPerSecond(nowMs: number): number;
  /** Undefined while there is nothing to judge by. */
  leftMs(done: Amount, total: Amount, nowMs: number): number | undefined;
  share(done: Amount, total: Amount): number;
}

/** A rough weight, good enough for a time estimate: a step is forward and backward (three passes) over some 8 sequences. */
const SCORED_PER_STEP = 24;

export function measureSpeed(start: Amount, startMs: number): Speed {
  let recent: { readonly atMs: number; readonly numTokens: number }[] = [];
  const cost = ({ steps, scored }: Amount) => steps + scored / SCORED_PER_STEP;
  return {
    step(numTokens, nowMs) {
      recent = recent.filter(({ atMs }) => nowMs - atMs <= WINDOW_MS);
      recent.push({ atMs: nowMs, numTokens });
    },
    tokensPerSecond(nowMs) {
      const first = recent[0];
      if (first === undefined || nowMs <= first.atMs) return 0;
      const tokens = recent.slice(1).reduce((sum, { numTokens }) => sum + numTokens, 0);
      return (1000 * tokens) / (nowMs - first.atMs);
    },
    leftMs(done, total, nowMs) {
      const finished = cost(done) - cost(start);
      if (finished <= 0 || nowMs - startMs < 2000) return undefined;
      return ((nowMs - startMs) * (cost(total) - cost(done))) / finished;
    },
    share: (done, total) => (cost(total) === 0 ? 1 : cost(done) / cost(total)),
  };
}
