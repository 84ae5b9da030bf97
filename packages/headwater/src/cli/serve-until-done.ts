/** `headwater serve --until-done`: when all runs are over, and their clients have been told. */

import { setTimeout as wait } from 'node:timers/promises';
import type { CoordinatorFact, Operator } from '../coordinator/ports.ts';

export interface EndOfRuns {
  observe(fact: CoordinatorFact): void;
  /** Resolves when every run of the store is over and told, or at the signal. */
  reached(operator: Operator, signal: AbortSignal): Promise<void>;
}

/** Clients that do not ask any more are not waited for longer. */
const TELL_MS = 15_000;
const LOOK_MS = 250;

export function endOfRuns(): EndOfRuns {
  let wake = () => {};
  return {
    observe(fact) {
      if (fact.type === 'over') wake();
    },
    async reached(operator, signal) {
      while (!signal.aborted && !(await allOver(operator)))
        await new Promise<void>((resolve) => {
          wake = resolve;
          signal.addEventListener('abort', () => resolve(), { once: true });
          setTimeout(resolve, 1000).unref();
        });
      await clientsTold(operator, Date.now(), signal);
    },
  };
}

async function allOver(operator: Operator): Promise<boolean> {
  const runs = await operator.runs();
  return runs.every(({ status }) => status === 'finished' || status === 'failed' || status === 'cancelled');
}

async function clientsTold(operator: Operator, overMs: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && Date.now() < overMs + TELL_MS) {
    const runs = await operator.runs();
    const clients = (await Promise.all(runs.map(({ run }) => operator.clients(run)))).flat();
    const waiting = clients.some(
      ({ revoked, lastSeenMs }) => !revoked && lastSeenMs !== null && lastSeenMs < overMs,
    );
    await wait(LOOK_MS);
    if (!waiting) return;
  }
}
