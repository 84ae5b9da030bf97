import { describe, expect, it } from 'vitest';
import { boundMethod } from '../../test/support/bound-method.ts';
import { digestJson } from '../base/canonical.ts';
import { rng } from '../base/random.ts';
import { tensor } from '../base/tensor.ts';
import { privacyGuarantee } from '../privacy/accounting/account.ts';
import { metricsOf } from '../runs/metrics.ts';
import { aggregateRound } from './aggregate.ts';
import { cohortRandom, drawEach } from './cohort.ts';
import type { RunEvent } from './events.ts';
import { planFixedPoint } from './fixed-point.ts';
import { publicPart } from './log/public-part.ts';
import { replay, start, step } from './machine.ts';
import { outstandingWork } from './outstanding.ts';
import { createPlan, type PlanInput } from './plan.ts';
import { countedReleases, guaranteeFor } from './privacy-ledger.ts';
import { privacyMistakes } from './privacy-needs.ts';
import type { RunState } from './state.ts';
import { taskOf } from './tasks.ts';

const NAMES = Array.from({ length: 8 }, (_, i) => `o${i}`);
const privacy = {
  ...{ clipNorm: 1, noiseMultiplier: 1.2, maxParticipations: 9, delta: 1e-3, population: 8 },
  poisson: { rate: 2 / 8 },
};
const fedavg = boundMethod('fedavg');

function planWith(change: Partial<PlanInput> = {}) {
  return createPlan(
    {
      ...{ seed: 5, rounds: 4, cohortSize: 2, localSteps: 1, serverLearningRate: 1, weighting: 'uniform' },
      owners: NAMES.map((owner) => ({ owner, numExamples: 4, numTokens: 40 })),
      tensors: [{ name: 'w', shape: [2] }],
      ...{ baseModel: 'base', initialParams: digestJson('start'), method: { kind: 'fedavg' }, privacy },
      ...{ fixedPoint: {}, earlyStopping: null, keepBest: false, arms: [] },
      ...{ validateEveryRounds: 0, test: false },
      pace: { evaluatedBy: 'owners', belowQuorum: 'extend', deadlineMs: 1000 },
      ...change,
    },
    fedavg,
  );
}

function updateOf(round: number, owner: string): RunEvent {
  return {
    ...{ type: 'update-received', round, owner, update: digestJson([round, owner]), personal: null },
    ...{ upBytes: 1, downBytes: 1, check: { ok: true, l2Norm: null } },
    stats: { steps: 1, numExamples: 1, numTokens: 0, numTargets: 0, meanLoss: null, lastLoss: null },
  };
}

function aggregated({ open }: RunState): RunEvent {
  const membership = digestJson(open!.members);
  const report = { totalWeight: 0, numUpdates: 0, clamped: 0, coordinates: 0, quantisationErrorBound: 0 };
  const params = digestJson(['params', open!.round]);
  return {
    type: 'aggregated',
    round: open!.round,
    ...{ membership, params, serverState: null, report, aggregateNorm: 1 },
  };
}

/** A run in which these are drawn, round by round. */
function opened(change: Partial<PlanInput> = {}) {
  const plan = planWith(change);
  const events: RunEvent[] = [{ type: 'created', plan, provenance: null }];
  const run = { state: start(plan).state, events };
  const apply = (event: RunEvent) => {
    events.push(event);
    run.state = step(run.state, event).state;
  };
  return { run, events, apply };
}

describe('a round whose cohort is drawn by coins', () => {
  it('asks nobody before the draw, then those who were drawn, however many, and nobody else', () => {
    const { run, events, apply } = opened();
    expect(outstandingWork(run.state)).toEqual([
      { kind: 'draw', id: 'draw/1', round: 1, owners: NAMES, rate: 0.25 },
    ]);
    expect(NAMES.map((owner) => taskOf(run.state, owner)).filter((task) => task !== undefined)).toEqual([]);
    const drawn = ['o1', 'o3', 'o4', 'o6', 'o7'];
    apply({ type: 'cohort-drawn', round: 1, owners: drawn });
    apply({ type: 'cohort-drawn', round: 1, owners: ['o0'] });
    apply({ type: 'owner-left', owner: 'o3', reason: 'gone' });
    for (const owner of ['o1', 'o4', 'o6']) apply(updateOf(1, owner));
    // More than the expected two have answered, and the rest is waited for; nobody comes in the place of who left.
    expect(run.state.open).toMatchObject({ phase: 'training', cohort: drawn });
    apply({ type: 'deadline', round: 1, extension: 0 });
    expect(run.state.open!.members!.map(({ owner }) => owner)).toEqual(['o1', 'o4', 'o6']);
    expect(outstandingWork(run.state)).toMatchObject([{ kind: 'aggregate', participation: 0.25 }]);
    expect(replay(events)).toEqual(run.state);
  });

  it('without anybody in it is released all the same, and charged', () => {
    const { run, apply } = opened({ privacy: { ...privacy, maxParticipations: 2 } });
    for (const round of [1, 2]) {
      apply({ type: 'cohort-drawn', round, owners: [] });
      expect(run.state.open).toMatchObject({ round, phase: 'aggregating', members: [] });
      apply(aggregated(run.state));
    }
    // Two releases are what the budget allows; who was drawn makes no difference.
    expect(run.state.open).toBeUndefined();
    expect(countedReleases(run.state)).toBe(2);
  });

  it('takes no newcomer into the open round, and none beyond the population', () => {
    const { run, apply } = opened({ privacy: { ...privacy, population: 9 } });
    apply({ type: 'cohort-drawn', round: 1, owners: ['o1'] });
    apply({ type: 'owner-joined', counts: { owner: 'p', numExamples: 1, numTokens: 1 } });
    expect(run.state.open!.cohort).toEqual(['o1']);
    const another: RunEvent = {
      type: 'owner-joined',
      counts: { owner: 'q', numExamples: 1, numTokens: 1 },
    };
    expect(() => apply(another)).toThrow('the run is for 9 owners');
  });

  it('keeps who was drawn out of metrics and out of the entry of its draw', () => {
    const { run, events, apply } = opened();
    apply({ type: 'cohort-drawn', round: 1, owners: ['o1', 'o2'] });
    for (const owner of ['o1', 'o2']) apply(updateOf(1, owner));
    apply(aggregated(run.state));
    const text = JSON.stringify([metricsOf(events), publicPart(events[1]!)]);
    for (const owner of NAMES) expect(text).not.toContain(`"${owner}"`);
    expect(metricsOf(events)).toMatchObject([{ type: 'round', participants: 0, upBytes: 0 }]);
  });
});

describe('what a draw costs', () => {
  it('is the smaller of both accountants’ upper bounds for Poisson sampling', () => {
    const told = guaranteeFor(privacy, 1e-3, 4);
    const releases = [{ sampling: { kind: 'poisson', rate: 0.25 }, noiseMultiplier: 1.2, steps: 4 } as const];
    expect(told).toEqual(privacyGuarantee({ releases, neighbours: 'add-remove', delta: 1e-3 }));
    expect(told.bounds.prv).toBeDefined();
    expect(told.epsilon).toBe(Math.min(told.bounds.rdp.epsilon, told.bounds.prv!.upper));
    const { poisson: _, ...unsampled } = privacy;
    expect(told.epsilon).toBeLessThan(guaranteeFor(unsampled, 1e-3, 4).epsilon);
  });
});

describe('the release of an empty cohort', () => {
  it('is noise of the usual spread over the usual divisor', async () => {
    const size = 100_000;
    const plan = planFixedPoint([{ name: 'w', shape: [size] }], { fractionBits: 30, range: 8 });
    const params = new Map([['w', tensor('float32', [size], new Float32Array(size))]]);
    const noise = { kind: 'simulated', words: () => rng(3, 'n').uint32 } as const;
    const release = { ...privacy, denominator: 2, noise };
    const input = { round: 1, params, serverState: undefined, members: [], serverLearningRate: 1, release };
    const { params: after, report } = await aggregateRound(fedavg, plan, input, () => {
      throw new Error('there is no update');
    });
    const { data } = after.get('w')!;
    const std = Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / size);
    expect(Math.abs(std / (1.2 / 2) - 1)).toBeLessThan(0.01);
    expect(report).toMatchObject({ numUpdates: 0, release: { denominator: 2 } });
  });
});

it('coins of a seed draw each owner with the stated probability', () => {
  const owners = Array.from({ length: 500 }, (_, i) => `c${i}`);
  const sizes = Array.from(
    { length: 40 },
    (_, round) => drawEach(owners, 0.1, cohortRandom(7, round)).length,
  );
  const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
  // 50 ± 5 σ / √40 with σ² = 500 · 0.1 · 0.9; and sizes differ, as those of fixed cohorts do not.
  expect(Math.abs(mean - 50)).toBeLessThan((5 * Math.sqrt(45)) / Math.sqrt(40));
  expect(new Set(sizes).size).toBeGreaterThan(5);
});

it('coins do not go with noise of owners, trees and populations that are not stated', () => {
  const facts = { weighting: 'uniform', tensors: [{ name: 'w', shape: [2] }], fixedPoint: {} } as const;
  const of = (change: object) =>
    privacyMistakes({ ...facts, privacy: { ...privacy, population: 8, ...change } }, fedavg);
  expect(of({})).toEqual([]);
  expect(of({ trust: 'local' })).toEqual([expect.stringContaining('use trust: central')]);
  expect(of({ tree: { leaves: 2 } })).toEqual([expect.stringContaining('sampling: none')]);
  expect(of({ population: undefined })).toEqual([expect.stringContaining('clientLevel.population')]);
});
