import { describe, expect, it } from 'vitest';
import { rng } from '../../base/random.ts';
import { tensor } from '../../base/tensor.ts';
import { exactShapley, gtgShapley, leaveOneOut, meanOfRows, remembering, type Share } from './shapley.ts';
import { similarities } from './similarity.ts';

/** Two rows, of which one always is worth 1 more. */
const game = (value: (coalition: readonly number[]) => number) =>
  remembering(async (coalition) => Float64Array.of(value(coalition) - 0.5, value(coalition) + 0.5));

const shareOf = ({ rows }: Pick<Share, 'rows'>) => meanOfRows(rows);
const exactly = async (players: number, utility: ReturnType<typeof game>) =>
  (await exactShapley(players, utility)).map(shareOf);

/** −(mean of the coalition’s points − target)²: the value of an average, as a round is. */
const POINTS = [1, 2, 4, -3, 0.5];
const worth = (coalition: readonly number[]) => {
  if (coalition.length === 0) return -9;
  const mean = coalition.reduce((sum, i) => sum + POINTS[i]!, 0) / coalition.length;
  return -((mean - 3) ** 2);
};
const quadratic = game(worth);
const WHOLE = worth([0, 1, 2, 3, 4]) - worth([]);

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
    const shares = await exactly(3, gloves);
    for (const [i, share] of [2 / 3, 1 / 6, 1 / 6].entries()) expect(shares[i]).toBeCloseTo(share, 12);
    expect((await leaveOneOut(3, gloves)).map(meanOfRows)).toEqual([1, 0, 0]);
  });

  it('the axioms: efficiency, symmetry, null players, additivity', async () => {
    const shares = await exactly(5, quadratic);
    expect(shares.reduce((sum, x) => sum + x, 0)).toBeCloseTo(WHOLE, 10);
    const symmetric = await exactly(
      3,
      game((s) => s.length ** 2),
    );
    expect(new Set(symmetric.map((x) => x.toFixed(10))).size).toBe(1);
    const idle = await exactly(
      4,
      game((s) => s.filter((i) => i !== 2).length ** 2),
    );
    expect(idle[2]).toBeCloseTo(0, 12);
    const doubled = await exactly(
      5,
      game((s) => (s.length === 0 ? 0 : s[0]!)),
    );
    const sum = await exactly(
      5,
      game((s) => worth(s) + (s.length === 0 ? 0 : s[0]!)),
    );
    for (const i of doubled.keys()) expect(sum[i]).toBeCloseTo(doubled[i]! + shares[i]!, 10);
  });

  it('GTG-Shapley without truncation is efficient, near the exact shares, and says how near', async () => {
    const exact = await exactly(5, quadratic);
    const { shares, permutations } = await gtgShapley(5, quadratic, options());
    expect(permutations).toBe(400);
    expect(shares.reduce((sum, share) => sum + shareOf(share), 0)).toBeCloseTo(WHOLE, 9);
    for (const [i, share] of shares.entries())
      expect(Math.abs(shareOf(share) - exact[i]!)).toBeLessThan(2.5 * share.halfWidth!);
    const again = await gtgShapley(5, quadratic, options({ random: rng('permutations') }));
    expect(again.shares).toEqual(shares);
    const together = await gtgShapley(5, quadratic, options({ together: 3 }));
    expect(together.shares).toEqual(shares);
  });

  it('shares are linear in what is scored: each row has its own game', async () => {
    const rows = [(s: readonly number[]) => s.length ** 2, worth];
    const both = remembering(async (s) => Float64Array.from(rows, (row) => row(s)));
    const shares = await exactShapley(5, both);
    for (const [i, row] of rows.entries())
      expect(shares.map((share) => share.rows[i]!.toFixed(9))).toEqual(
        (await exactly(5, game(row))).map((value) => value.toFixed(9)),
      );
  });

  it('asks for no more coalitions than it may, beyond the first permutation', async () => {
    for (const most of [0, 12, 40]) {
      const many = game((s) => Math.sqrt(s.length));
      const affords = (more: number) => many.asked() + more <= most;
      const { permutations } = await gtgShapley(8, many, options({ affords, together: 2 }));
      expect(many.asked()).toBeLessThanOrEqual(Math.max(most, 9));
      expect(permutations).toBeGreaterThanOrEqual(most === 40 ? 3 : 1);
    }
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
    expect(shares.map(shareOf)).toEqual([1, 0, 0, 0, 0, 0]);
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
