/** The distribution of one release's privacy loss on a grid, moved so that its mean is exact. Knows no composition. */

import { type Direction, type GaussianSample, lossTails, meanLoss } from './privacy-loss.ts';

export interface GridSize {
  /** Distance between neighbouring values. */
  readonly step: number;
  /** A power of two. */
  readonly count: number;
}

export interface LossPmf {
  /** `[count]`, probability of the value j · step + shift at index j, of (j − count) · step + shift in the upper half. */
  readonly probabilities: Float64Array;
  /** At most half a step in size. */
  readonly shift: number;
}

/**
 * Rounds the loss to the nearest grid point within ±step · count/2, renormalises, and shifts by the error of the mean: what rounding
 * adds has mean zero and lies within an interval of one step (Gopi, Lee, Wutschitz 2021, Algorithm 2).
 */
export function lossPmf(sample: GaussianSample, direction: Direction, { step, count }: GridSize): LossPmf {
  const probabilities = new Float64Array(count);
  const last = count / 2 - 1;
  let edge = lossTails(sample, direction, (-last - 0.5) * step);
  let [total, mean] = [0, 0];
  for (let j = -last; j <= last; j++) {
    const next = lossTails(sample, direction, (j + 0.5) * step);
    // Differences of the smaller tail: the larger one has lost the digits.
    const mass = next[0] < 0.5 ? next[0] - edge[0] : edge[1] - next[1];
    const probability = Math.max(0, mass);
    probabilities[j < 0 ? j + count : j] = probability;
    total += probability;
    mean += probability * j;
    edge = next;
  }
  for (let k = 0; k < count; k++) probabilities[k]! /= total;
  return { probabilities, shift: meanLoss(sample, direction) - (mean / total) * step };
}
