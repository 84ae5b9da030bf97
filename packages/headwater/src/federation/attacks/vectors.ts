/** Means, deviations and lengths of updates as vectors: what adversaries compute from honest ones. */

import type { Vector } from './attack.ts';

export function meanOf(vectors: readonly Vector[]): Vector {
  const mean = new Float64Array(vectors[0]!.length);
  for (const vector of vectors) for (let i = 0; i < mean.length; i++) mean[i]! += vector[i]!;
  for (let i = 0; i < mean.length; i++) mean[i]! /= vectors.length;
  return mean;
}

/** Standard deviation of each coordinate, with n − 1; 0 of a single vector. */
export function deviationOf(vectors: readonly Vector[], mean: Vector): Vector {
  const deviation = new Float64Array(mean.length);
  for (const vector of vectors)
    for (let i = 0; i < mean.length; i++) deviation[i]! += (vector[i]! - mean[i]!) ** 2;
  for (let i = 0; i < mean.length; i++)
    deviation[i] = Math.sqrt(deviation[i]! / Math.max(1, vectors.length - 1));
  return deviation;
}

/** a + factor · b. */
export function plus(a: Vector, b: Vector, factor: number): Vector {
  return a.map((value, i) => value + factor * b[i]!);
}

export function times(a: Vector, factor: number): Vector {
  return a.map((value) => factor * value);
}

export function dot(a: Vector, b: Vector): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

export function squaredDistance(a: Vector, b: Vector): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2;
  return sum;
}
