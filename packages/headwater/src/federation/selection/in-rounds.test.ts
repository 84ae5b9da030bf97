import { describe, expect, it } from 'vitest';
import { digestJson } from '../../base/canonical.ts';
import type { RunEvent } from '../events.ts';
import { replay, start, step } from '../machine.ts';
import { bindMethod } from '../method.ts';
import { fedavg } from '../methods/fedavg.ts';
import { createPlan, type PlanInput, type RunPlan } from '../plan.ts';
import type { RunState } from '../state.ts';
import type { SelectionChoice } from './registry.ts';

const OWNERS = Array.from({ length: 8 }, (_, i) => `o${i}`);
const lossOf = (owner: string) => Number(owner.slice(1));

function planWith(selection: SelectionChoice | undefined, pace: PlanInput['pace'] = {}): RunPlan {
  return createPlan(
    {
      ...{ seed: 5, rounds: 8, cohortSize: 3, localSteps: 1, serverLearningRate: 1, weighting: 'examples' },
      owners: OWNERS.map((owner) => ({ owner, numExamples: 4, numTokens: 40 })),
      tensors: [{ name: 'w', shape: [2] }],
      ...{ baseModel: 'base', initialParams: digestJson('start'), method: { kind: 'fedavg' }, selection },
      ...{ fixedPoint: { fractionBits: 20, range: 8 }, earlyStopping: null, keepBest: false, arms: [] },
      ...{ validateEveryRounds: 0, test: false, pace },
    },
    bindMethod(fedavg, {}),
  );
}

const updateOf = (round: number, owner: string): RunEvent => ({
  ...{ type: 'update-received', round, owner, update: digestJson([round, owner]), personal: null },
  ...{ upBytes: 1, downBytes: 1, check: { ok: true, l2Norm: 1 } },
  stats: { steps: 1, numExamples: 1, numTokens: 1, numTargets: 1, meanLoss: lossOf(owner), lastLoss: 0 },
});

/** All events of a run in which the cohort answers in the order that `shuffle` says. */
function wholeRun(plan: RunPlan, shuffle = (owners: readonly string[]) => owners) {
  const events: RunEvent[] = [{ type: 'created', plan, provenance: null }];
  const cohorts: (readonly string[])[] = [];
  let state: RunState = start(plan).state;
  const apply = (event: RunEvent) => {
    events.push(event);
    state = step(state, event).state;
  };
  while (state.open !== undefined) {
    const { round, cohort } = state.open;
    cohorts.push(cohort);
    for (const owner of shuffle(cohort)) apply(updateOf(round, owner));
    const report = { totalWeight: 3, numUpdates: 3, clamped: 0, coordinates: 6, quantisationErrorBound: 0 };
    const membership = digestJson(state.open!.members);
    const params = digestJson(['params', round]);
    apply({ type: 'aggregated', round, membership, params, serverState: null, report, aggregateNorm: 1 });
  }
  return { events, cohorts, state };
}

describe('a choice of owners inside the round machine', () => {
  it('looks at what closed rounds showed', () => {
    const { cohorts } = wholeRun(planWith({ kind: 'power-of-choice', candidates: 8 }));
    // 3 + 3 + 2 owners come to be known, then those of the largest loss stay.
    expect(new Set(cohorts.slice(0, 3).flat()).size).toBe(8);
    for (const cohort of cohorts.slice(3)) expect(cohort).toEqual(['o5', 'o6', 'o7']);
  });

  it.each(['power-of-choice', 'oort'])('%s: neither replay nor order of arrival changes a cohort', (kind) => {
    const plan = planWith({ kind });
    const run = wholeRun(plan);
    expect(replay(run.events)).toEqual(run.state);
    expect(replay(JSON.parse(JSON.stringify(run.events)) as RunEvent[])).toEqual(run.state);
    expect(wholeRun(plan, (owners) => owners.toReversed()).cohorts).toEqual(run.cohorts);
  });

  it('another seed asks others', () => {
    const plan = planWith({ kind: 'oort' });
    expect(wholeRun({ ...plan, seed: 6 }).cohorts).not.toEqual(wholeRun(plan).cohorts);
  });

  it('a plan without it is the plan of runs before there was a choice, and so is the state', () => {
    const plan = planWith(undefined);
    expect(Object.keys(plan)).not.toContain('selection');
    const { state } = wholeRun(plan);
    expect(JSON.stringify(state)).not.toContain('"trained"');
  });

  it('in buffered runs it chooses who takes the place of one who answered', () => {
    const pace = { mode: 'buffered', asked: 3, belowQuorum: 'extend', maxStaleness: 9 } as const;
    const plan = planWith({ kind: 'power-of-choice', candidates: 8 }, pace);
    const { cohorts } = wholeRun(plan);
    expect(new Set(cohorts.slice(0, 3).flat()).size).toBe(8);
  });
});
