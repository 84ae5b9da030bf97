import { describe, expect, it } from 'vitest';
import { rng } from '../base/random.ts';
import { argMax, sampleToken } from './sampling.ts';

const logits = Float32Array.of(1, 3, 2, 3, -5);

function frequencies(options: Parameters<typeof sampleToken>[1], draws = 20_000): number[] {
  const random = rng('sampling');
  const counts = new Array<number>(logits.length).fill(0);
  for (let i = 0; i < draws; i++) counts[sampleToken(logits, options, random)]! += 1;
  return counts.map((count) => count / draws);
}

function softmax(temperature: number, kept: readonly number[]): number[] {
  const weights = [...logits].map((logit, i) => (kept.includes(i) ? Math.exp(logit / temperature) : 0));
  const sum = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / sum);
}

describe('sampling', () => {
  it('is greedy at temperature 0 and takes the first of equals', () => {
    expect(sampleToken(logits, { temperature: 0, topK: 3, topP: 0.5 }, rng(1))).toBe(1);
    expect(argMax([2, 5, 5, 1])).toBe(1);
  });

  it.each([
    ['all tokens', { temperature: 1, topK: 0, topP: 1 }, [0, 1, 2, 3, 4]],
    ['a higher temperature', { temperature: 2.5, topK: 0, topP: 1 }, [0, 1, 2, 3, 4]],
    ['top-k', { temperature: 1, topK: 3, topP: 1 }, [1, 2, 3]],
    // Probabilities 0.40 and 0.40 do not reach 0.85, the third (0.15) does.
    ['top-p', { temperature: 1, topK: 0, topP: 0.85 }, [1, 2, 3]],
    ['top-k before top-p', { temperature: 1, topK: 2, topP: 0.9 }, [1, 3]],
    ['a top-p below the largest', { temperature: 1, topK: 0, topP: 0.01 }, [1]],
  ] as const)('draws from the right distribution with %s', (_, options, kept) => {
    const got = frequencies(options);
    // Standard deviation of a share of 20,000 draws is at most 0.0036.
    for (const [i, expected] of softmax(options.temperature, kept).entries())
      expect(Math.abs(got[i]! - expected)).toBeLessThan(expected === 0 ? 1e-12 : 0.016);
  });
});
