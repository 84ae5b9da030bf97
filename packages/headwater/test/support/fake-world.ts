/**
 * Test helper: performs the machine's work without a model. Results are digests of what the work depends on, so two
 * histories that should be equal are equal to the last character, and anything that should not matter would show.
 */

import { digestJson } from '../../src/base/canonical.ts';
import type { EvaluationResult, RunEvent, UpdateReceived, Work } from '../../src/federation/events.ts';
import { type Step, start, step } from '../../src/federation/machine.ts';
import { bindMethod } from '../../src/federation/method.ts';
import { fedavg } from '../../src/federation/methods/fedavg.ts';
import { createPlan, type PlanInput, type RunPlan } from '../../src/federation/plan.ts';
import type { RunState } from '../../src/federation/state.ts';
import type { TrainingStats } from '../../src/federation/training-stats.ts';

export function fakePlan(change: Partial<PlanInput> = {}): RunPlan {
  const owners = ['a', 'b', 'c', 'd'].map((owner, i) => ({ owner, numExamples: 10 + i, numTokens: 100 + i }));
  return createPlan(
    {
      seed: 7,
      owners,
      tensors: [{ name: 'w', shape: [2] }],
      baseModel: 'base',
      initialParams: 'initial',
      method: { kind: 'fedavg' },
      rounds: 3,
      localSteps: 2,
      weighting: 'examples',
      serverLearningRate: 1,
      fixedPoint: { fractionBits: 30, range: 8 },
      earlyStopping: null,
      keepBest: false,
      arms: [
        { id: 'centralised', owners: owners.map(({ owner }) => owner), steps: 24 },
        { id: 'local-only/a', owners: ['a'], steps: 6 },
      ],
      validateEveryRounds: 1,
      test: true,
      ...change,
    },
    bindMethod(fedavg, {}),
  );
}

export const fakeStats: TrainingStats = {
  steps: 2,
  numExamples: 4,
  numTokens: 40,
  numTargets: 20,
  meanLoss: 1.5,
  lastLoss: 1.25,
};

export interface FakeWorld {
  /** Validation loss by round; default: falls. */
  readonly lossAfter?: (round: number) => number | null;
  /** Owners that always send something unusable. */
  readonly broken?: readonly string[];
  readonly personal?: boolean;
}

export function perform(work: Work, world: FakeWorld = {}): RunEvent {
  switch (work.kind) {
    case 'train':
      return updateOf(work, world);
    case 'draw':
      return { type: 'cohort-drawn', round: work.round, owners: work.owners };
    case 'aggregate':
      return {
        type: 'aggregated',
        round: work.round,
        membership: work.membership,
        params: digestJson(['params', work.params, work.members]),
        serverState: null,
        report: { totalWeight: 1, numUpdates: 1, clamped: 0, coordinates: 2, quantisationErrorBound: 0 },
        aggregateNorm: 1,
      };
    case 'train-arm':
      return { type: 'arm-trained', arm: work.arm, params: digestJson(['arm', work]), stats: fakeStats };
    case 'evaluate':
      return { type: 'evaluated', evaluation: work.evaluation, result: scoresOf(work.evaluation, world) };
    case 'publish':
      return { type: 'published' };
  }
}

function updateOf(work: Extract<Work, { kind: 'train' }>, world: FakeWorld): UpdateReceived {
  const { round, owner, params, personal } = work;
  const broken = world.broken?.includes(owner) === true;
  return {
    type: 'update-received',
    round,
    owner,
    update: digestJson(['update', round, owner, params, personal]),
    personal: world.personal === true ? digestJson(['personal', round, owner, personal]) : null,
    upBytes: 8,
    downBytes: 8,
    check: broken ? { ok: false, code: 'not-finite', reason: 'NaN in "w"' } : { ok: true, l2Norm: 1 },
    stats: fakeStats,
  };
}

function scoresOf(evaluation: string, world: FakeWorld): EvaluationResult {
  const [split, which] = evaluation.split('/');
  if (split === 'test') return { numExamples: 1, pooled: { loss: 1 }, owners: {} };
  const round = Number(which);
  const loss = (world.lossAfter ?? ((r: number) => 10 - r))(round);
  return { numExamples: 1, pooled: { loss }, owners: {} };
}

/**
 * Runs to the end. `pick` chooses which outstanding work finishes next (default: in order); the journal grows by one
 * event a time, as a shell would write it.
 */
export function runToEnd(
  plan: RunPlan,
  world: FakeWorld = {},
  pick: (count: number) => number = () => 0,
): { readonly state: RunState; readonly events: RunEvent[]; readonly work: Work[] } {
  const events: RunEvent[] = [{ type: 'created', plan, provenance: null }];
  const done: Work[] = [];
  let current: Step = start(plan);
  const waiting = current.effects.filter((effect) => effect.kind !== 'receipt');
  while (waiting.length > 0) {
    const [work] = waiting.splice(pick(waiting.length), 1);
    const event = perform(work!, world);
    done.push(work!);
    events.push(event);
    current = step(current.state, event);
    waiting.push(...current.effects.filter((effect) => effect.kind !== 'receipt'));
  }
  return { state: current.state, events, work: done };
}
