import { describe, expect, it } from 'vitest';
import { rng } from '../base/random.ts';
import { nextClipNorm, noisyUnclippedShare, vectorNoiseMultiplier } from './adaptive-clip.ts';

const RULE = { targetQuantile: 0.5, learningRate: 0.2 };

/** As an independent implementation of the paper's rule gives it. */
const PATH = [
  [0, 0.11051709180756478],
  [0, 0.12214027581601701],
  [0.2, 0.1296930086665772],
  [0.5, 0.1296930086665772],
  [0.9, 0.11972173631218104],
] as const;

/** Clip norms over rounds with the norms of 100 clients, without noise. */
function settle(start: number, rounds: number): number {
  const random = rng(5, 'norms');
  const norms = Array.from({ length: 100 }, () => 0.5 + random.uniform());
  let clip = start;
  for (let round = 0; round < rounds; round++) {
    const unclipped = norms.filter((norm) => norm <= clip).length;
    const share = noisyUnclippedShare({ unclipped, clipped: 100 - unclipped, noise: 0 }, 100);
    clip = nextClipNorm(clip, share, RULE);
  }
  return clip;
}

describe('a clip norm that adapts', () => {
  it('follows the published rule', () => {
    let clip = 0.1;
    for (const [share, expected] of PATH) {
      clip = nextClipNorm(clip, share, RULE);
      expect(clip).toBeCloseTo(expected, 14);
    }
  });

  it('follows the clips of TensorFlow Privacy for records 5 and −2.5', () => {
    const rule = { targetQuantile: 0, learningRate: Math.LN2 };
    let clip = 16;
    const clips = Array.from({ length: 5 }, () => {
      const unclipped = [5, 2.5].filter((norm) => norm <= clip).length;
      const share = noisyUnclippedShare({ unclipped, clipped: 2 - unclipped, noise: 0 }, 2);
      clip = nextClipNorm(clip, share, rule);
      return clip;
    });
    expect(clips.map((value) => +value.toFixed(12))).toEqual([8, 4, 2.828427124746, 2, 2]);
  });

  it.each([0.01, 0.1, 2, 100])('finds the median from %d', (start) => {
    expect(settle(start, 120)).toBeCloseTo(1, 1);
  });

  it('counts who dropped out as half, and stays within bounds', () => {
    expect(noisyUnclippedShare({ unclipped: 0, clipped: 0, noise: 0 }, 10)).toBe(0.5);
    expect(noisyUnclippedShare({ unclipped: 10, clipped: 0, noise: 0 }, 10)).toBe(1);
    expect(noisyUnclippedShare({ unclipped: 1, clipped: 3, noise: 0.5 }, 10)).toBeCloseTo(0.45, 12);
    expect(nextClipNorm(1e6, -1e9, RULE)).toBe(1e6);
    expect(nextClipNorm(1e-6, 1e9, RULE)).toBe(1e-6);
  });

  it('splits the noise between the vectors and the count', () => {
    expect(vectorNoiseMultiplier(1, 5)).toBeCloseTo(1.005037815, 9);
    expect(vectorNoiseMultiplier(3, 5)).toBeCloseTo(3.14485451, 8);
    expect(vectorNoiseMultiplier(0, 5)).toBe(0);
    expect(vectorNoiseMultiplier(10, 5)).toBeNaN();
  });
});
