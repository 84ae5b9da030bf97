import { describe, expect, it } from 'vitest';
import {
  commonOptimum,
  type Federation,
  federation,
  quadratic,
} from '../../../test/support/quadratic-federation.ts';
import type { Params } from '../../base/tensor.ts';
import type { LocalTraining, OptimizerOptions } from '../../training/engine.ts';
import { accumulatedSteps } from '../local-sgd.ts';
import type { RunFacts } from '../method.ts';
import { methods } from './registry.ts';

/** Owners that disagree about curvature and optimum, with different weights. */
const DIFFERENT = [
  quadratic([2, 0.5], [1, -1], { weight: 3 }),
  quadratic([0.4, 1.5], [-2, 0.5], { weight: 1 }),
  quadratic([1, 1], [0.5, 2], { weight: 2 }),
];
const OPTIMUM = commonOptimum(DIFFERENT);

async function afterRounds(fed: Federation, rounds: number): Promise<number> {
  for (let round = 0; round < rounds; round++) await fed.round();
  return distance(fed.w(), OPTIMUM);
}

const distance = (a: readonly number[], b: readonly number[]) => Math.hypot(a[0]! - b[0]!, a[1]! - b[1]!);
const dataOf = (params: Params | undefined, name: string) => [...(params?.get(name)?.data ?? [0, 0])];

/** Σ p_k of what each owner keeps under `w`. */
function meanMemory({ memories }: Federation): number[] {
  const total = DIFFERENT.reduce((sum, { weight }) => sum + weight, 0);
  return [0, 1].map((i) =>
    memories.reduce((sum, memory, k) => sum + (DIFFERENT[k]!.weight / total) * dataOf(memory, 'w')[i]!, 0),
  );
}

const COHORTS = [[0], [1, 2], [0, 2], [1], [0, 1, 2], [2]];

it('the tests’ federation drifts where nothing is done about it', async () => {
  expect(await afterRounds(await federation('fedavg', {}, DIFFERENT), 60)).toBeGreaterThan(0.1);
});

describe('SCAFFOLD', () => {
  it('its first round is FedAvg’s, bit for bit', async () => {
    const [plain, corrected] = [
      await federation('fedavg', {}, DIFFERENT),
      await federation('scaffold', {}, DIFFERENT),
    ];
    await plain.round();
    await corrected.round();
    expect(corrected.w()).toEqual(plain.w());
  });

  it('c is the mean of all c_k after every round, whoever took part', async () => {
    const fed = await federation('scaffold', {}, DIFFERENT);
    for (const cohort of COHORTS) {
      await fed.round(cohort);
      const [mean, server] = [meanMemory(fed), dataOf(fed.params, 'control/w')];
      for (const i of [0, 1]) expect(server[i]).toBeCloseTo(mean[i]!, 6);
    }
  });

  it('reaches the common optimum where FedAvg does not', async () => {
    expect(await afterRounds(await federation('scaffold', {}, DIFFERENT), 60)).toBeLessThan(1e-4);
  });

  it('is refused where its formula does not hold', () => {
    const { preconditions } = methods.get('scaffold')!;
    const facts = (optimizer: object, mode: RunFacts['mode'] = 'synchronous'): RunFacts => ({
      ...{ numOwners: 3, cohortSize: 3, quorum: 3, rounds: 2, tensors: [], mode },
      optimizer: { kind: 'sgd', momentum: 0, ...optimizer } as OptimizerOptions,
    });
    expect(preconditions!(facts({}), {})).toEqual([]);
    expect(preconditions!(facts({ kind: 'adamw' }), {})).toEqual([expect.stringContaining('adamw')]);
    expect(preconditions!(facts({ momentum: 0.9 }), {})).toEqual([expect.stringContaining('0.9')]);
    expect(preconditions!(facts({}, 'buffered'), {})).toHaveLength(1);
  });
});

describe('FedDyn', () => {
  it('reaches the common optimum also when clients train to the end', async () => {
    const long = DIFFERENT.map((owner) => ({ ...owner, steps: 60 }));
    const [plain, dynamic] = [
      await federation('fedavg', {}, long, { learningRate: 0.3 }),
      await federation('feddyn', { alpha: 0.5 }, long, { learningRate: 0.3 }),
    ];
    expect(await afterRounds(plain, 60)).toBeGreaterThan(0.3);
    expect(await afterRounds(dynamic, 60)).toBeLessThan(1e-5);
  });

  it('h is the mean of all h_k, whoever took part', async () => {
    const fed = await federation('feddyn', { alpha: 0.1 }, DIFFERENT);
    for (const cohort of COHORTS) {
      await fed.round(cohort);
      const [mean, server] = [meanMemory(fed), dataOf(fed.params, 'mean-of-h/w')];
      for (const i of [0, 1]) expect(server[i]).toBeCloseTo(mean[i]!, 5);
    }
  });

  it('its term is the gradient of α⟨θ, h_k − wᵗ⟩ + α/2 ‖θ‖², by finite differences', async () => {
    const terms: LocalTraining[] = [];
    const fed = await federation('feddyn', { alpha: 0.3 }, DIFFERENT, { seen: (local) => terms.push(local) });
    await fed.round();
    const cloud = [0, 1].map((i) => fed.w()[i]! + dataOf(fed.params, 'mean-of-h/w')[i]!);
    const own = dataOf(fed.memories[0], 'w');
    await fed.round([0]);
    const term = (theta: readonly number[]) =>
      theta.reduce((sum, x, i) => sum + 0.3 * (x * (own[i]! - cloud[i]!) + 0.5 * x * x), 0);
    const at = [0.7, -0.4];
    const params = new Map([['w', { ...fed.params.get('w')!, data: Float32Array.from(at) }]]);
    const gradient = (await terms.at(-1)!.extraGradient!(params, []))!.get('w')!.data;
    for (const i of [0, 1]) {
      const moved = (by: number) => at.map((x, j) => (i === j ? x + by : x));
      expect(gradient[i]).toBeCloseTo((term(moved(1e-4)) - term(moved(-1e-4))) / 2e-4, 5);
    }
  });
});

describe('FedNova', () => {
  const steps = (count: number) => Array.from({ length: count }, () => ({ learningRate: 0.1 }));

  it('‖a‖₁ has the closed forms of momentum and of a proximal term', () => {
    for (const count of [1, 2, 7, 40]) {
      const rate = { learningRate: 0.1 };
      expect(accumulatedSteps(steps(count), { ...rate, momentum: 0 }, 0)).toBeCloseTo(count, 9);
      const rho = 0.9;
      const momentum = (count - (rho * (1 - rho ** count)) / (1 - rho)) / (1 - rho);
      expect(accumulatedSteps(steps(count), { ...rate, momentum: rho }, 0)).toBeCloseTo(momentum, 9);
      const alpha = 0.1 * 0.5;
      const proximal = (1 - (1 - alpha) ** count) / alpha;
      expect(accumulatedSteps(steps(count), { ...rate, momentum: 0 }, 0.5)).toBeCloseTo(proximal, 9);
    }
  });

  it.each([0, 0.9])('with equal steps is FedAvg, momentum %f', async (momentum) => {
    const how = { momentum, learningRate: 0.02 };
    const [plain, normalised] = [
      await federation('fedavg', {}, DIFFERENT, how),
      await federation('fednova', {}, DIFFERENT, how),
    ];
    for (let round = 0; round < 5; round++) {
      await plain.round();
      await normalised.round();
      expect(distance(plain.w(), normalised.w())).toBeLessThan(1e-6);
    }
  });

  it('moves along Σ p_k g_k however often each owner steps', async () => {
    const slopes = [
      { weight: 1, steps: 2, loss: () => 0, gradient: () => [1, 0] },
      { weight: 3, steps: 16, loss: () => 0, gradient: () => [0, 1] },
    ];
    const fed = await federation('fednova', {}, slopes, { learningRate: 0.01 });
    await fed.round();
    // τ_eff = (2 + 3 · 16) / 4 = 12.5; the mean gradient is (1, 3) / 4.
    expect(fed.w()[0]).toBeCloseTo(-0.01 * 12.5 * 0.25, 6);
    expect(fed.w()[1]).toBeCloseTo(-0.01 * 12.5 * 0.75, 6);
  });

  it('a proximal term holds clients back, and the norm knows', async () => {
    const free = await federation('fednova', { mu: 0 }, DIFFERENT);
    const held = await federation('fednova', { mu: 2 }, DIFFERENT);
    const [[first], [second]] = [await free.round(), await held.round()];
    const norm = (params: Params) => 1024 * params.get('fednova/norm')!.data[0]!;
    expect(norm(first!.update)).toBeCloseTo(10, 4);
    expect(norm(second!.update)).toBeCloseTo((1 - 0.8 ** 10) / 0.2, 4);
  });
});
