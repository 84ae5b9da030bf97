/**
 * The sum of one step of DP-SGD (Abadi et al. 2016, "Deep learning with differential privacy", algorithm 1): the gradient of each
 * example clipped to ‖g‖₂ ≤ C, added up, with Gaussian noise. Plain arrays; it knows no examples and no network.
 */

import { clipFactor, euclideanNorm } from './clip.ts';
import { addRoundedGaussian, gaussianSource, type RandomWords } from './gaussian.ts';

/** Steps of the grid in C: what rounding adds to the sensitivity is ½ √P of them. */
const GRID_STEPS = 2 ** 24;

export interface ClippedSum {
  /** Adds min(1, C / ‖g‖₂) · g, g being the pieces one after the other; one that is not finite counts as zero. Gives ‖g‖₂. */
  add(pieces: readonly Float32Array[]): number;
  /**
   * Σ + N(0, (z · s)² I) with s = C (1 + ½ √P / 2²⁴), in place of the sum: once. Clipped gradients are rounded to multiples of
   * C / 2²⁴ and the noise is added to the integer sum, so that rounding is post-processing of the ideal Gaussian mechanism and its
   * low-order bits tell nothing (Mironov 2012).
   */
  released(words: RandomWords): Float64Array;
}

/** P elements. z = 0: the plain sum, on no grid. */
export function clippedSum(size: number, clipNorm: number, noiseMultiplier: number): ClippedSum {
  const sum = new Float64Array(size);
  const steps = noiseMultiplier > 0 ? GRID_STEPS / clipNorm : undefined;
  return {
    add(pieces) {
      const norm = euclideanNorm(pieces);
      if (!Number.isFinite(norm)) return norm;
      addTo(sum, pieces, clipFactor(norm, clipNorm), steps);
      return norm;
    },
    released(words) {
      if (steps === undefined) return sum;
      addRoundedGaussian(sum, noiseMultiplier * gridSensitivity(size), gaussianSource(words));
      for (let i = 0; i < size; i++) sum[i]! /= steps;
      return sum;
    },
  };
}

/** In steps of the grid. */
function gridSensitivity(size: number): number {
  return GRID_STEPS + Math.sqrt(size) / 2;
}

function addTo(
  sum: Float64Array,
  pieces: readonly Float32Array[],
  factor: number,
  steps: number | undefined,
): void {
  let at = 0;
  for (const values of pieces)
    for (let i = 0; i < values.length; i++, at++) {
      const x = factor * values[i]!;
      sum[at]! += steps === undefined ? x : Math.round(x * steps);
    }
}
