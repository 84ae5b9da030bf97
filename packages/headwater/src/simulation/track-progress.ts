/** Turns what the shell does into progress events with done and total amounts. It only watches. */

import type { RunEvent, Work } from '../federation/events.ts';
import { replay } from '../federation/machine.ts';
import { meanSteps, type RunPlan } from '../federation/plan.ts';
import type { RunState } from '../federation/state.ts';
import { isValidated } from '../federation/stopping.ts';
import type { Amount, OnProgress } from '../jobs/progress.ts';
import { eventsOf } from '../runs/journal-events.ts';
import type { OpenRun } from '../runs/run-folder.ts';
import type { StepReport } from '../training/engine.ts';
import type { Performer } from './perform.ts';

export interface Tracker {
  step(work: Work, report: StepReport): void;
  done(work: Work, event: RunEvent, state: RunState): void;
}

export async function trackProgress(
  onProgress: OnProgress = () => undefined,
  { plan, heldOut, pool }: Pick<Performer, 'plan' | 'heldOut' | 'pool'>,
  { journal, begun, folder }: Pick<OpenRun, 'journal' | 'begun' | 'folder'>,
): Promise<Tracker> {
  const events = await eventsOf(journal);
  const sizes = {
    validation: heldOut.validation?.pieces.length ?? 0,
    test: heldOut.test?.pieces.length ?? 0,
  };
  const total = totalAmount(plan, sizes);
  let done: Amount = { steps: 0, scored: 0 };
  const add = (steps: number, scored: number) => {
    done = { steps: done.steps + steps, scored: done.scored + scored };
  };
  for (const event of events) add(stepsOf(event), scoredBy(event, sizes));
  /** Steps of unfinished work, taken back when it ends so that a repeated job is not counted twice. */
  const running = new Map<string, number>();
  const { rounds, cohortSize } = plan;
  const owners = plan.owners.map(({ owner }) => owner);
  onProgress({
    type: 'opened',
    resumed: begun,
    folder,
    owners,
    rounds,
    cohortSize,
    workers: pool.size,
    done,
    total,
  });
  let closed = replay(events).closed.length;
  return {
    step(work, report) {
      running.set(work.id, (running.get(work.id) ?? 0) + 1);
      add(1, 0);
      onProgress({ type: 'step', work, report, done, total });
    },
    done(work, event, state) {
      add(stepsOf(event) - (running.get(work.id) ?? 0), scoredBy(event, sizes));
      running.delete(work.id);
      onProgress({ type: 'work-done', work, event, done, total });
      if (event.type === 'evaluated' && event.evaluation.startsWith('validation/'))
        onProgress({ type: 'validated', round: Number(event.evaluation.slice(11)), result: event.result });
      if (state.closed.length === closed) return;
      closed = state.closed.length;
      onProgress({ type: 'round-closed', round: closed, rounds });
    },
  };
}

interface Sizes {
  readonly validation: number;
  readonly test: number;
}

/** What the whole plan amounts to; a run that stops early ends before. */
function totalAmount(plan: RunPlan, sizes: Sizes): Amount {
  const baselines = plan.arms.reduce((sum, { steps }) => sum + steps, 0);
  const validations = Array.from({ length: plan.rounds + 1 }, (_, round) => round).filter((r) =>
    isValidated(plan, r),
  );
  const tests = plan.test ? plan.arms.length + 2 : 0;
  return {
    steps: Math.round(plan.rounds * plan.cohortSize * meanSteps(plan, plan.owners)) + baselines,
    scored: validations.length * sizes.validation + tests * sizes.test,
  };
}

function stepsOf(event: RunEvent): number {
  return event.type === 'update-received' || event.type === 'arm-trained' ? event.stats.steps : 0;
}

function scoredBy(event: RunEvent, sizes: Sizes): number {
  if (event.type !== 'evaluated') return 0;
  return event.evaluation.startsWith('validation/') ? sizes.validation : sizes.test;
}
