/**
 * Exact unlearning: the run is taken up at the checkpoint before the owner’s first round, as if the owner had left then, and
 * goes on to its end. The journal up to there is copied; what follows is an ordinary run in a folder of its own.
 */

import { existsSync } from 'node:fs';
import type { RunEvent } from '../../federation/events.ts';
import type { RunPlan } from '../../federation/plan.ts';
import type { OnProgress } from '../../jobs/progress.ts';
import { recipeToYaml } from '../../recipe/write.ts';
import { appendEvent } from '../../runs/journal-events.ts';
import { openRunFolder, runPaths } from '../../runs/run-folder.ts';
import { type FinishedRun, run } from '../run.ts';
import { firstRoundOf, type StoredRun } from './stored-run.ts';

export interface Retrained extends FinishedRun {
  /** Rounds that were made again. */
  readonly rounds: number;
}

/** `out`: a new folder, or that of the same retraining, which goes on. Throws what `run` throws. */
export async function retrainWithout(
  stored: StoredRun,
  owner: string,
  out: string,
  onProgress?: OnProgress,
): Promise<Retrained> {
  const first = firstRoundOf(stored.state, owner) ?? stored.state.closed.length + 1;
  if (!existsSync(runPaths(out).journal)) await fork(stored, owner, first, out);
  const finished = await run(runPaths(out).recipe, {
    ...{ out, resume: true },
    ...(onProgress === undefined ? {} : { onProgress }),
  });
  return { ...finished, rounds: finished.results.rounds.run - (first - 1) };
}

async function fork(stored: StoredRun, owner: string, first: number, out: string): Promise<void> {
  const opened = await openRunFolder(out, recipeToYaml(stored.prepared.recipe));
  try {
    const { plan, closed } = stored.state;
    const before = closed.slice(0, first - 1);
    const kept = before.flatMap(({ params, serverState, personal, members }) => [
      params,
      serverState ?? [],
      ...Object.values(personal),
      ...Object.values(members),
    ]);
    for (const digest of new Set([plan.initialParams, ...kept.flat()]))
      await opened.blobs.put(await stored.blobs.get(digest));
    for (const event of forkedEvents(stored.events, owner, first)) await appendEvent(opened.journal, event);
  } finally {
    await opened.close();
  }
}

/** What happened before round `first`, and the owner’s leave. */
export function forkedEvents(events: readonly RunEvent[], owner: string, first: number): RunEvent[] {
  const kept = events.flatMap((event): RunEvent[] => {
    switch (event.type) {
      case 'created':
        return [{ ...event, plan: planWithout(event.plan, owner) }];
      case 'update-received':
      case 'client-failed':
      case 'aggregated':
        return event.round < first ? [event] : [];
      case 'evaluated':
        return isBefore(event.evaluation, first) ? [event] : [];
      default:
        return [];
    }
  });
  return [...kept, { type: 'owner-left', owner, reason: 'to be forgotten' }];
}

function isBefore(evaluation: string, first: number): boolean {
  return evaluation.startsWith('validation/') && Number(evaluation.slice(11)) < first;
}

/** Rounds may close without the owner; baselines say nothing here. */
function planWithout(plan: RunPlan, owner: string): RunPlan {
  const { attack, ...rest } = plan;
  const attackers = attack?.owners.filter((name) => name !== owner) ?? [];
  return {
    ...rest,
    ...(attack === undefined || attackers.length === 0 ? {} : { attack: { ...attack, owners: attackers } }),
    arms: [],
    quorum: Math.max(1, Math.min(plan.quorum, plan.cohortSize - 1)),
  };
}
