import { describe, expect, it } from 'vitest';
import { rng } from '../../base/random.ts';
import { tensor } from '../../base/tensor.ts';
import { exactShapley, gtgShapley, leaveOneOut, remembering } from './shapley.ts';
import { similarities } from './similarity.ts';

const game = (value: (coalition: readonly number[]) => number) =>
  remembering(async (coalition) => value(coalition));

/** −(mean of the coalition’s points − target)²: the value of an average, as a round is. */
const POINTS = [1, 2, 4, -3, 0.5];
const quadratic = game((coalition) => {
  if (coalition.length === 0) return -9;
  const mean = coalition.reduce((sum, i) => sum + POINTS[i]!, 0) / coalition.length;
  return -((mean - 3) ** 2);
});

const options = (more: object = {}) => ({
  ...{ betweenRounds: 0, withinRound: 0, fewestPermutations: 400, mostPermutations: 400 },
  random: rng('permutations'),
  ...more,
});

describe('what a player adds', () => {
  it('glove game: known shares', async () => {
    const gloves = game((s) =>
      Math.min(Number(s.includes(0)), Number(s.includes(1)) + Number(s.includes(2))),
    );
    const shares = await exactShapley(3, gloves);
    for (const [i, share] of [2 / 3, 1 / 6, 1 / 6].entries()) expect(shares[i]).toBeCloseTo(share, 12);
    expect(await leaveOneOut(3, gloves)).toEqual([1, 0, 0]);
  });

  it('the axioms: efficiency, symmetry, null players, additivity', async () => {
    const shares = await exactShapley(5, quadratic);
    const whole = (await quadratic([0, 1, 2, 3, 4])) - (await quadratic([]));
    expect(shares.reduce((sum, x) => sum + x, 0)).toBeCloseTo(whole, 10);
    const symmetric = await exactShapley(
      3,
      game((s) => s.length ** 2),
    );
    expect(new Set(symmetric.map((x) => x.toFixed(10))).size).toBe(1);
    const idle = await exactShapley(
      4,
      game((s) => s.filter((i) => i !== 2).length ** 2),
    );
    expect(idle[2]).toBeCloseTo(0, 12);
    const doubled = await exactShapley(
      5,
      game((s) => (s.length === 0 ? 0 : s[0]!)),
    );
    const sum = await exactShapley(
      5,
      remembering(async (s) => (await quadratic(s)) + (s.length === 0 ? 0 : s[0]!)),
    );
    for (const i of doubled.keys()) expect(sum[i]).toBeCloseTo(doubled[i]! + shares[i]!, 10);
  });

  it('GTG-Shapley without truncation is efficient, near the exact shares, and says how near', async () => {
    const exact = await exactShapley(5, quadratic);
    const { shares, permutations } = await gtgShapley(5, quadratic, options());
    const whole = (await quadratic([0, 1, 2, 3, 4])) - (await quadratic([]));
    expect(permutations).toBe(400);
    expect(shares.reduce((sum, { value }) => sum + value, 0)).toBeCloseTo(whole, 9);
    for (const [i, { value, halfWidth }] of shares.entries())
      expect(Math.abs(value - exact[i]!)).toBeLessThan(2.5 * halfWidth!);
    const again = await gtgShapley(5, quadratic, options({ random: rng('permutations') }));
    expect(again.shares).toEqual(shares);
  });

  it('truncates between rounds and within one, and asks for no coalition twice', async () => {
    const flat = game(() => 1);
    expect(await gtgShapley(4, flat, options({ betweenRounds: 0.01 }))).toMatchObject({ skipped: true });
    const early = game((s) => (s.includes(0) ? 1 : 0));
    const { shares } = await gtgShapley(
      6,
      early,
      options({ withinRound: 0.5, fewestPermutations: 12, mostPermutations: 12 }),
    );
    expect(shares.map(({ value }) => value)).toEqual([1, 0, 0, 0, 0, 0]);
    expect(early.asked()).toBeLessThan(2 ** 6);
  });

  it('similarity is that of products: scaling factors against each other changes nothing', () => {
    const random = rng('factors');
    const values = (shape: number[]) =>
      tensor(
        'float32',
        shape,
        Float32Array.from({ length: shape[0]! * shape[1]! }, () => random.normal()),
      );
    const shapes = { 'x.lora_A.weight': [2, 5], 'x.lora_B.weight': [4, 2] };
    const draw = () => new Map(Object.entries(shapes).map(([name, shape]) => [name, values(shape)]));
    const zero = new Map(
      Object.entries(shapes).map(([name, shape]) => [
        name,
        tensor('float32', shape, new Float32Array(shape[0]! * shape[1]!)),
      ]),
    );
    const updates = [draw(), draw(), draw()];
    const scaledBy = (name: string, factor: number) => {
      const own = updates[0]!.get(name)!;
      return [
        name,
        tensor(
          'float32',
          own.shape,
          own.data.map((x) => factor * x),
        ),
      ] as const;
    };
    const gauge = new Map([scaledBy('x.lora_A.weight', 4), scaledBy('x.lora_B.weight', 0.25)]);
    const shares = [0, 0.5, 0.5];
    const [plain] = similarities({ updates, shares, params: zero });
    const [turned] = similarities({ updates: [gauge, updates[1]!, updates[2]!], shares, params: zero });
    expect(turned).toBeCloseTo(plain!, 6);
    expect(similarities({ updates: [updates[1]!], shares: [1], params: zero })[0]).toBeCloseTo(1, 6);
  });
});
