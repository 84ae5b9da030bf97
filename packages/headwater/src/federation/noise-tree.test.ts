import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { boundMethod } from '../../test/support/bound-method.ts';
import { digestJson } from '../base/canonical.ts';
import { rng } from '../base/random.ts';
import { type Params, zeros } from '../base/tensor.ts';
import { gaussianSource } from '../privacy/gaussian.ts';
import { stepFromSum } from './aggregate.ts';
import type { RunEvent } from './events.ts';
import { emptySum, planFixedPoint } from './fixed-point.ts';
import { replay, start, step } from './machine.ts';
import { nodesClosedBy, nodesOf } from './noise-tree.ts';
import { addReleaseNoise, sensitivityOf } from './noisy-release.ts';
import { outstandingWork } from './outstanding.ts';
import { createPlan, type PlanInput } from './plan.ts';
import { guaranteeFor, leastNoiseFor, participationsWithin } from './privacy-ledger.ts';
import { privacyMistakes } from './privacy-needs.ts';
import type { RunState } from './state.ts';
import { nodesStillNeeded, treeReleaseOf } from './tree-rounds.ts';

const SIZE = 200_000;
const grid = planFixedPoint([{ name: 'w', shape: [SIZE] }], { fractionBits: 30, range: 8 });
const privacy = { clipNorm: 1, noiseMultiplier: 1.3, maxParticipations: 9, tree: { leaves: 16 } };
const nodeWords = (node: number) => () => rng(4, 'node', node).uint32;

/** What one release adds to a sum of zeros, in steps of the grid. */
function noiseOf(leaf: number, size = SIZE): Float64Array {
  const sum = { ...emptySum(), numUpdates: 1, totalWeight: 1 };
  const added = new Float64Array(size);
  sum.sums.set('w', added);
  const removed = nodesClosedBy(leaf).map(nodeWords);
  const noise = { kind: 'secret', words: nodeWords(leaf), removed } as const;
  addReleaseNoise(grid, sum, { ...privacy, denominator: 4, leaf, noise });
  return added;
}

describe('the nodes of a tree over releases', () => {
  it.each([
    [16, 1],
    [17, 2],
    [19, 3],
    [21, 3],
    [1024, 1],
    [1027, 3],
  ])('the first %d releases carry the noise of %d', (leaf, count) => {
    expect(nodesOf(leaf)).toHaveLength(count);
  });

  it('come and go such that those of the binary decomposition are left', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), (leaves) => {
        const present = new Set<number>();
        for (let leaf = 1; leaf <= leaves; leaf++) {
          for (const node of nodesClosedBy(leaf)) expect(present.delete(node)).toBe(true);
          present.add(leaf);
        }
        expect([...present].sort((a, b) => b - a)).toEqual(nodesOf(leaves));
      }),
      { numRuns: 20, seed: 7 },
    );
  });
});

describe('the noise of a tree', () => {
  it('of the first t releases is exactly the sum of the nodes of t, and spreads as calibrated within 1 %', () => {
    const sigma = privacy.noiseMultiplier * sensitivityOf(grid.tensors, 1) * 2 ** 30;
    const nodes = new Map<number, Float64Array>();
    for (let leaf = 1; leaf <= 7; leaf++) {
      const normal = gaussianSource(nodeWords(leaf)());
      nodes.set(
        leaf,
        Float64Array.from({ length: SIZE }, () => Math.round(sigma * normal())),
      );
    }
    const total = new Float64Array(SIZE);
    for (let leaf = 1; leaf <= 7; leaf++) {
      noiseOf(leaf).forEach((x, i) => {
        total[i]! += x;
      });
      const parts = nodesOf(leaf).map((node) => nodes.get(node)!);
      const differs = total.findIndex((x, i) => x !== parts.reduce((sum, part) => sum + part[i]!, 0));
      expect(differs).toBe(-1);
      const std = Math.sqrt(total.reduce((sum, x) => sum + x * x, 0) / SIZE);
      expect(Math.abs(std / (sigma * Math.sqrt(parts.length)) - 1)).toBeLessThan(0.01);
    }
  });

  it('under server momentum leaves the params with η Σ μ^(t−s) N(s) of the prefix sums’ noise N', () => {
    const [size, eta, mu] = [300, 0.5, 0.9];
    const small = planFixedPoint([{ name: 'w', shape: [size] }], { fractionBits: 30, range: 8 });
    const released = (leaf: number) => {
      const sum = { ...emptySum(), numUpdates: 1, totalWeight: 1, freshWeight: 1 };
      sum.sums.set('w', new Float64Array(size));
      const removed = nodesClosedBy(leaf).map(nodeWords);
      const noise = { kind: 'secret', words: nodeWords(leaf), removed } as const;
      return { sum, release: { ...privacy, denominator: 1, leaf, noise } };
    };
    const method = boundMethod('fedavgm');
    let params = new Map([['w', zeros('float32', [size])]]) as Params;
    let state: Params | undefined;
    const expected = new Float64Array(size);
    const prefix = new Float64Array(size);
    const velocity = new Float64Array(size);
    for (let leaf = 1; leaf <= 13; leaf++) {
      const { sum, release } = released(leaf);
      const input = { round: leaf, params, serverState: state, serverLearningRate: eta, release };
      const next = stepFromSum(method, small, input, sum);
      [params, state] = [next.params, next.serverState];
      noiseOf(leaf, size).forEach((x, i) => {
        prefix[i]! += x * 2 ** -30;
        velocity[i] = mu * velocity[i]! + prefix[i]!;
        expected[i] = eta * velocity[i]!;
      });
      params.get('w')!.data.forEach((x, i) => {
        expect(Math.abs(x - expected[i]!)).toBeLessThan(1e-4);
      });
    }
  });

  it('is told with its leaf and what a release’s own mean carries', () => {
    const sum = { ...emptySum(), numUpdates: 1, totalWeight: 1 };
    sum.sums.set('w', new Float64Array(SIZE));
    const noise = { kind: 'secret', words: nodeWords(6), removed: nodesClosedBy(6).map(nodeWords) } as const;
    const told = addReleaseNoise(grid, sum, {
      ...privacy,
      denominator: 4,
      leaf: 6,
      noise: { ...noise, words: nodeWords(6) },
    });
    expect(told.tree).toEqual({ leaf: 6, nodes: 2 });
    expect(told.noiseStd).toBeCloseTo((1.3 * Math.SQRT2) / 4, 4);
  });

  it.each([
    [1.13, 1600, 18.7096099],
    [8.83, 1600, 1.77319245],
    [4, 100, 3.28988151],
  ])('costs what tree aggregation costs: σ = %d, T = %d', (noiseMultiplier, leaves, epsilon) => {
    const mechanism = { noiseMultiplier, tree: { leaves } };
    expect(guaranteeFor(mechanism, 1e-6, 1).bounds.rdp.epsilon).toBeCloseTo(epsilon, 6);
    const budget = { delta: 1e-6, targetEpsilon: 4 };
    const least = leastNoiseFor({ tree: { leaves } }, budget, 2);
    expect(participationsWithin({ noiseMultiplier: least, tree: { leaves } }, budget, 5)).toBe(2);
  });
});

const fedavg = boundMethod('fedavg');
function planWith(change: Partial<PlanInput> = {}) {
  return createPlan(
    {
      ...{ seed: 5, rounds: 6, cohortSize: 2, localSteps: 1, serverLearningRate: 1, weighting: 'uniform' },
      owners: Array.from({ length: 7 }, (_, i) => ({ owner: `o${i}`, numExamples: 4, numTokens: 40 })),
      tensors: [{ name: 'w', shape: [2] }],
      ...{ baseModel: 'base', initialParams: digestJson('start'), method: { kind: 'fedavg' } },
      ...{ fixedPoint: {}, earlyStopping: null, keepBest: false, arms: [] },
      ...{ validateEveryRounds: 0, test: false },
      privacy: { ...privacy, tree: { leaves: 3 } },
      ...change,
    },
    fedavg,
  );
}

function updateOf(round: number, owner: string): RunEvent {
  return {
    ...{ type: 'update-received', round, owner, update: digestJson([round, owner]), personal: null },
    ...{ upBytes: 1, downBytes: 1, check: { ok: true, l2Norm: 1 } },
    stats: { steps: 1, numExamples: 1, numTokens: 1, numTargets: 1, meanLoss: 1, lastLoss: 1 },
  };
}

describe('rounds in trees', () => {
  /** Plays the run; `before` may bend a round that has opened. */
  function played(before: (state: RunState) => RunEvent[] = () => []) {
    const plan = planWith();
    const events: RunEvent[] = [{ type: 'created', plan, provenance: null }];
    const seen: {
      round: number;
      began: number;
      leaf: number;
      removes: readonly number[];
      needed: number[];
    }[] = [];
    const counted: string[][] = [];
    let state = start(plan).state;
    const apply = (event: RunEvent) => {
      events.push(event);
      state = step(state, event).state;
    };
    while (state.open !== undefined) {
      const { round } = state.open;
      before(state).forEach(apply);
      for (const owner of state.open!.cohort) apply(updateOf(round, owner));
      const work = outstandingWork(state).find(({ kind }) => kind === 'aggregate');
      expect(work).toMatchObject({ tree: treeReleaseOf(state) });
      const { leaf, removes } = treeReleaseOf(state)!;
      const began = state.treeBegan!;
      counted.push(state.open!.members!.map(({ owner }) => owner));
      const report = { totalWeight: 2, numUpdates: 2, clamped: 0, coordinates: 4, quantisationErrorBound: 0 };
      const membership = digestJson(state.open!.members);
      const params = digestJson(['params', round]);
      apply({ type: 'aggregated', round, membership, params, serverState: null, report, aggregateNorm: 1 });
      seen.push({ round, began, leaf, removes, needed: nodesStillNeeded(state) });
    }
    expect(replay(events)).toEqual(state);
    return { seen, counted, state };
  }

  it('count an owner once in each, and need a node until a release takes it away or its tree ends', () => {
    const { seen, counted, state } = played();
    expect(seen).toEqual([
      { round: 1, began: 1, leaf: 1, removes: [], needed: [1] },
      { round: 2, began: 1, leaf: 2, removes: [1], needed: [2] },
      { round: 3, began: 1, leaf: 3, removes: [], needed: [] },
      { round: 4, began: 4, leaf: 1, removes: [], needed: [4] },
      { round: 5, began: 4, leaf: 2, removes: [4], needed: [5] },
      { round: 6, began: 4, leaf: 3, removes: [], needed: [] },
    ]);
    for (const tree of [counted.slice(0, 3), counted.slice(3)]) expect(new Set(tree.flat()).size).toBe(6);
    for (const { participations = 0 } of Object.values(state.roster))
      expect(participations).toBeLessThanOrEqual(2);
  });

  it('begin a new tree where too few owners are left for another leaf', () => {
    const { seen } = played(({ roster, open }) => {
      if (open?.round !== 2) return [];
      const idle = Object.values(roster).filter(
        ({ owner, lastRound }) => lastRound === 0 && !open.cohort.includes(owner),
      );
      return idle.map(({ owner }) => ({ type: 'owner-left', owner, reason: 'gone' }));
    });
    expect(seen.map(({ began }) => began)).toEqual([1, 1, 3, 3, 5, 5]);
    expect(seen.map(({ leaf }) => leaf)).toEqual([1, 2, 1, 2, 1, 2]);
  });

  it('begin a new tree where those that are not in the last one stay silent, and only where that helps', () => {
    const pace = { belowQuorum: 'extend', deadlineMs: 1000, asked: 2 } as const;
    const opened = start(planWith({ pace, quorum: 2, privacy: { ...privacy, tree: { leaves: 3 } } })).state;
    const stepped = (state: RunState, ...events: RunEvent[]) =>
      events.reduce((now, event) => step(now, event).state, state);
    const deadline = (extension: number): RunEvent => ({ type: 'deadline', round: 2, extension });
    const first = opened.open!.cohort;
    const report = { totalWeight: 2, numUpdates: 2, clamped: 0, coordinates: 4, quantisationErrorBound: 0 };
    const aggregated = stepped(opened, ...first.map((owner) => updateOf(1, owner)));
    const membership = digestJson(aggregated.open!.members);
    const released = { params: 'p1', serverState: null, report, aggregateNorm: 1 };
    const second = stepped(aggregated, { type: 'aggregated', round: 1, membership, ...released });
    // Three are left that are neither in the tree nor silent: enough.
    const once = stepped(second, deadline(0));
    expect(once.treeBegan).toBe(1);
    // Of the five that are not in the tree, four were asked twice or once and said nothing.
    const twice = stepped(once, deadline(1));
    expect(twice.open).toMatchObject({ extension: 2 });
    expect(twice.treeBegan).toBe(2);
    expect(twice.open!.cohort.some((owner) => first.includes(owner))).toBe(true);
    // With the first two gone a new tree would only cost.
    const left = first.map((owner): RunEvent => ({ type: 'owner-left', owner, reason: 'gone' }));
    expect(stepped(second, ...left, deadline(0), deadline(1)).treeBegan).toBe(1);
  });
});

describe('what a tree does not go with', () => {
  const facts = {
    privacy: { ...privacy, tree: { leaves: 3 } },
    weighting: 'uniform',
    tensors: ['A', 'B'].map((factor) => ({ name: `q_proj.lora_${factor}.weight`, shape: [2, 2] })),
    fixedPoint: { fractionBits: 30 },
  } as const;

  it.each(['fedavg', 'ffa-lora', 'fedprox', 'ditto', 'fedavgm', 'fedadam', 'diloco'])('%s composes', (id) => {
    expect(privacyMistakes(facts, boundMethod(id))).toEqual([]);
  });

  it.each([
    ['decomfl', 'moves other params by it than it came from'],
    ['slora', 'moves other params by it than it came from'],
    ['rolora', 'take turns in what they send'],
  ])('%s is refused', (id, reason) => {
    expect(privacyMistakes(facts, boundMethod(id))).toContainEqual(expect.stringContaining(reason));
  });

  it('rounds that differ later than the second are found', () => {
    const wire: typeof fedavg.wire = (tensors, round) => (round < 5 ? tensors : tensors.slice(1));
    const mistakes = (rounds: number) => privacyMistakes({ ...facts, rounds }, { ...fedavg, wire });
    expect(mistakes(4)).toEqual([]);
    expect(mistakes(5)).toEqual([expect.stringContaining('take turns')]);
  });

  it('too few owners, adaptive clips and noise of owners are refused with the nearest choice', () => {
    const owners = Array.from({ length: 5 }, () => 'o');
    expect(privacyMistakes({ ...facts, owners, cohortSize: 2 }, fedavg)).toEqual([
      expect.stringContaining('set treeRounds to at most 2'),
    ]);
    const adaptive = { targetQuantile: 0.5, learningRate: 0.2, countNoise: 5 };
    expect(privacyMistakes({ ...facts, privacy: { ...facts.privacy, adaptive } }, fedavg)).toEqual([
      expect.stringContaining('clip.kind: fixed'),
    ]);
    const local = { ...facts.privacy, trust: 'local' as const };
    expect(privacyMistakes({ ...facts, privacy: local }, fedavg)).toEqual([
      expect.stringContaining('trust: central'),
    ]);
    const population = { ...facts.privacy, population: 9 };
    expect(privacyMistakes({ ...facts, owners, cohortSize: 1, privacy: population }, fedavg)).toEqual([
      expect.stringContaining('set it to 5'),
    ]);
  });
});
