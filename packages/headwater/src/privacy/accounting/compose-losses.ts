/**
 * The distribution of a sum of independent privacy losses by Fourier transform, with a bound on what rounding does to it.
 * Knows distributions on a grid, not what they mean.
 */

import { fourier } from './fft.ts';
import type { GridSize, LossPmf } from './loss-grid.ts';

export interface Repeated {
  readonly pmf: LossPmf;
  readonly steps: number;
}

export interface ComposedLoss {
  /** `[count]` in rising order of the loss; values may be negative by rounding. */
  readonly probabilities: Float64Array;
  /** Loss at index 0; the next ones are one step further each. */
  readonly first: number;
  /** Rounding changes the mean of any function with values in [0, 1] that rises and then falls once by at most this. */
  readonly rounding: number;
}

/** Half the distance from 1 to the next double. */
const UNIT = 2 ** -53;

export function composeLosses(parts: readonly Repeated[], { step, count }: GridSize): ComposedLoss {
  const product = { re: new Float64Array(count).fill(1), im: new Float64Array(count) };
  const sizes = { logs: new Float64Array(count / 2 + 1), weights: new Float64Array(count / 2 + 1) };
  const transformError = 7 * Math.log2(count) * UNIT;
  for (const { pmf, steps } of parts) {
    const spectrum = { re: pmf.probabilities.slice(), im: new Float64Array(count) };
    fourier(spectrum);
    for (let k = 0; k <= count / 2; k++) {
      const size = Math.sqrt(spectrum.re[k]! ** 2 + spectrum.im[k]! ** 2) + transformError;
      sizes.logs[k]! += steps * Math.log(size);
      sizes.weights[k]! += steps / size;
    }
    multiplyByPower(product, spectrum, steps);
  }
  const numSteps = parts.reduce((sum, part) => sum + part.steps, 0);
  const rounding = roundingBound(sizes, transformError, numSteps);
  fourier(product, 'inverse');
  const shift = parts.reduce((sum, part) => sum + part.steps * part.pmf.shift, 0);
  return { ...unroll(product.re, shift, step), rounding };
}

interface Spectrum {
  readonly re: Float64Array;
  readonly im: Float64Array;
}

/** product_k ← product_k · factor_k^steps, by repeated squaring; spectra of real sequences mirror: X_{n−k} is conj X_k. */
function multiplyByPower(product: Spectrum, factor: Spectrum, steps: number): void {
  const count = product.re.length;
  for (let k = 0; k <= count / 2; k++) {
    let re = product.re[k]!;
    let im = product.im[k]!;
    let baseRe = factor.re[k]!;
    let baseIm = factor.im[k]!;
    for (let left = steps; left > 0; left = Math.floor(left / 2)) {
      if (left % 2 === 1) {
        const oldRe = re;
        re = oldRe * baseRe - im * baseIm;
        im = oldRe * baseIm + im * baseRe;
      }
      const cross = baseRe * baseIm;
      baseRe = baseRe * baseRe - baseIm * baseIm;
      baseIm = 2 * cross;
    }
    product.re[k] = re;
    product.im[k] = im;
    if (k === 0 || k === count / 2) continue;
    product.re[count - k] = re;
    product.im[count - k] = -im;
  }
}

/**
 * How far rounding moves E[g] for a g of total variation at most 2 on the circle. Each Fourier coefficient of a pmf is off by at most
 * ψ = 7 u log2(n) (one butterfly: product √5 u, twiddle 3.5 u, sum u), each complex product by √5 u, so the product of all is off by
 * E_k = Π|F|^T (ψ Σ T/|F| + √5 u ΣT); g's own coefficients are at most n/2k (summation by parts), and 1 · n for k = 0. The inverse
 * transform adds at most ψ in 2-norm, √n of it in 1-norm.
 */
function roundingBound(
  { logs, weights }: { readonly logs: Float64Array; readonly weights: Float64Array },
  transformError: number,
  numSteps: number,
): number {
  const productError = Math.sqrt(5) * UNIT * (numSteps + 1);
  let forward = 0;
  let energy = 0;
  for (let k = 0; k < logs.length; k++) {
    const size = Math.exp(logs[k]!);
    const error = size * (transformError * weights[k]! + productError);
    // Frequencies k and n − k together.
    forward += error / Math.max(1, k);
    energy += 2 * (size + error) ** 2;
  }
  return forward + transformError * Math.sqrt(energy);
}

/** Puts the circle of sums into rising order, cut where it is farthest from zero. */
function unroll(circle: Float64Array, shift: number, step: number): Omit<ComposedLoss, 'rounding'> {
  const count = circle.length;
  const whole = Math.round(shift / step);
  const start = -count / 2 - whole;
  const probabilities = new Float64Array(count);
  for (let j = 0; j < count; j++) probabilities[j] = circle[(((start + j) % count) + count) % count]!;
  return { probabilities, first: start * step + shift };
}
