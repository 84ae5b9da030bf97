import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rng } from '../../base/random.ts';
import { exposure } from './exposure.ts';
import { areaUnderCurve, minKMean, separation, truePositivesAt } from './membership.ts';
import { epsilonLowerBound, guessesFrom, oneRunPValue } from './one-run.ts';
import { residualOf, searchSpan, spanOfRows } from './span.ts';

it('exposure is log₂ of the references over the rank among them', () => {
  const references = Array.from({ length: 16 }, (_, i) => i + 1);
  expect([0, 0.1, 20, 3.5].map((loss) => exposure(loss, references))).toEqual([
    4,
    4,
    expect.closeTo(-0.0874628412503, 12),
    2,
  ]);
});

describe('membership', () => {
  it('areas count pairs, ties by half', () => {
    expect(areaUnderCurve([3, 4], [1, 2])).toBe(1);
    expect(areaUnderCurve([1, 2], [1, 2])).toBe(0.5);
    expect(areaUnderCurve([2, 5, 7], [1, 4, 6, 7])).toBeCloseTo(6.5 / 12, 12);
  });

  it('true positives are counted above the threshold that the others set', () => {
    const others = Array.from({ length: 200 }, (_, i) => i);
    expect(truePositivesAt([197, 198, 500], others, 0.01)).toBeCloseTo(2 / 3, 12);
    expect(truePositivesAt([197, 198, 500], others, 0)).toBeCloseTo(1 / 3, 12);
  });

  it('intervals hold the figure, and guessing holds a half', () => {
    const normal = rng(1, 'scores');
    const draw = (shift: number) => Array.from({ length: 150 }, () => shift + normal.normal());
    const apart = separation(draw(1), draw(0), { random: rng(2), resamples: 200 });
    // Φ(1/√2)
    expect(apart.auc).toBeCloseTo(0.76, 1);
    expect(apart.aucInterval[0]).toBeLessThan(apart.auc);
    expect(apart.aucInterval[0]).toBeGreaterThan(0.6);
    const none = separation(draw(0), draw(0), { random: rng(3), resamples: 200 });
    expect(none.aucInterval[0]).toBeLessThan(0.5);
    expect(none.aucInterval[1]).toBeGreaterThan(0.5);
  });

  it('Min-K% is the mean of the least likely tokens', () => {
    expect(minKMean([-1, -9, -2, -5, -3], 0.4)).toBe(-7);
    expect(minKMean([-4], 0.2)).toBe(-4);
  });
});

describe('the audit of one run', () => {
  it('p-values are those of the paper’s formula', () => {
    // Without δ the exact binomial tail: 10 of 10 at ε = 0 by chance alone.
    expect(oneRunPValue({ canaries: 10, guesses: 10, right: 10, delta: 0 }, 0)).toBeCloseTo(2 ** -10, 12);
    expect(oneRunPValue({ canaries: 10, guesses: 2, right: 2, delta: 0 }, Math.log(3))).toBeCloseTo(
      9 / 16,
      12,
    );
    // P[B ≥ 2] + 2·m·δ·max(P[B=1]/1, P[B ≤ 1]/2), B ~ Binomial(2, ½).
    expect(oneRunPValue({ canaries: 4, guesses: 2, right: 2, delta: 0.01 }, 0)).toBeCloseTo(
      0.25 + 0.08 * 0.5,
      12,
    );
    expect(oneRunPValue({ canaries: 5, guesses: 5, right: 0, delta: 0 }, 1)).toBeCloseTo(1, 12);
  });

  it('all right of 1,000 refutes ε below ln(q/(1−q)) with q = 0.05^(1/1000), chance refutes nothing', () => {
    const q = 0.05 ** (1 / 1000);
    const perfect = { canaries: 1000, guesses: 1000, right: 1000, delta: 0 };
    expect(epsilonLowerBound(perfect)).toBeCloseTo(Math.log(q / (1 - q)), 6);
    expect(epsilonLowerBound({ ...perfect, right: 510 })).toBe(0);
    expect(epsilonLowerBound({ ...perfect, delta: 1e-5 })).toBeLessThan(epsilonLowerBound(perfect));
  });

  it('against randomised response at ε the bound is ≤ ε in 19 of 20 runs, and near it', () => {
    const epsilon = 1.5;
    const truthful = 1 / (1 + Math.exp(-epsilon));
    const random = rng(4, 'response');
    const bounds = Array.from({ length: 100 }, () => {
      const right = Array.from({ length: 400 }, () => random.uniform()).filter((u) => u < truthful).length;
      return epsilonLowerBound({ canaries: 400, guesses: 400, right, delta: 0 });
    });
    expect(bounds.filter((bound) => bound > epsilon).length).toBeLessThanOrEqual(10);
    expect(bounds.reduce((a, b) => a + b) / bounds.length).toBeGreaterThan(1);
  });

  it('guesses are the ends of the order of scores', () => {
    expect(guessesFrom([9, 1, 5, 8, 2], [true, false, true, false, true], 4)).toEqual({
      canaries: 5,
      guesses: 4,
      right: 2,
    });
  });
});

describe('the span attack', () => {
  const random = rng(5, 'embeddings');
  const embeddings = Array.from({ length: 500 }, () =>
    Float64Array.from({ length: 64 }, () => random.normal()),
  );
  /** ∂A = s Vᵀ X of so many tokens, rank r. */
  const gradientOf = (tokens: readonly number[], rank: number, stream = 'v') => {
    const draw = rng(6, stream);
    return Array.from({ length: rank }, () => {
      const row = new Float64Array(64);
      for (const token of tokens) {
        const weight = draw.normal();
        for (let i = 0; i < 64; i++) row[i]! += weight * embeddings[token]![i]!;
      }
      return Float32Array.from(row);
    });
  };
  const found = (rows: readonly Float32Array[], wanted = 0) =>
    searchSpan(spanOfRows(rows), embeddings.length, (i) => embeddings[i]!, wanted);

  it('finds every token and no other while there are no more tokens than the rank', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(499), { minLength: 1, maxLength: 16 }), (tokens) => {
        const { inside, rank } = found(gradientOf(tokens, 16));
        expect(rank).toBe(tokens.length);
        expect(inside.map(({ candidate }) => candidate).sort((a, b) => a - b)).toEqual(
          [...tokens].sort((a, b) => a - b),
        );
      }),
      { seed: 7, numRuns: 10 },
    );
  });

  it('with more tokens than the rank is better than chance, not exact', () => {
    const tokens = Array.from({ length: 40 }, (_, i) => 7 * i);
    const { inside, nearest } = found(gradientOf(tokens, 16), 40);
    expect(inside).toEqual([]);
    const hits = nearest.filter(({ candidate }) => tokens.includes(candidate)).length;
    expect(hits).toBeGreaterThan(12);
  });

  it('finds nothing in nothing and in the whole space', () => {
    expect(found([new Float32Array(64)]).inside).toEqual([]);
    const all = Array.from({ length: 64 }, (_, i) =>
      Float32Array.from({ length: 64 }, (_, j) => Number(i === j)),
    );
    expect(found(all).inside).toEqual([]);
    expect(residualOf(embeddings[0]!, spanOfRows(all))).toBeLessThan(1e-9);
  });
});
