/**
 * How far along a direction an adversary may go from the mean of the honest updates before it stands out: for min-max and
 * min-sum. ‖m + γp − x_i‖² is a parabola in γ, so the largest γ has a closed form.
 */

import { z } from 'zod';
import type { Vector } from './attack.ts';
import { deviationOf, dot, meanOf, plus, squaredDistance, times } from './vectors.ts';

export const direction = z
  .enum(['std', 'unit', 'sign'])
  .default('std')
  .describe('Where to: against the standard deviations, against the mean, or against its signs.');

/** A parabola a + 2bγ + cγ². */
export interface Parabola {
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

export interface Field {
  readonly mean: Vector;
  readonly towards: Vector;
  /** ‖m + γp − x_i‖², one for each honest update. */
  readonly distances: readonly Parabola[];
  /** ‖x_i − x_j‖² */
  readonly squares: readonly (readonly number[])[];
}

export function fieldOf(honest: readonly Vector[], kind: z.infer<typeof direction>): Field {
  const mean = meanOf(honest);
  const towards = directionOf(honest, mean, kind);
  const c = dot(towards, towards);
  const distances = honest.map((x) => ({
    a: squaredDistance(mean, x),
    b: dot(plus(mean, x, -1), towards),
    c,
  }));
  const squares = honest.map((x) => honest.map((y) => squaredDistance(x, y)));
  return { mean, towards, distances, squares };
}

function directionOf(honest: readonly Vector[], mean: Vector, kind: z.infer<typeof direction>): Vector {
  if (kind === 'std') return times(deviationOf(honest, mean), -1);
  if (kind === 'sign') return mean.map((value) => -Math.sign(value));
  return times(mean, -1 / (Math.sqrt(dot(mean, mean)) || 1));
}

/** The largest γ ≥ 0 with a + 2bγ + cγ² ≤ limit; 0 where there is none or no direction. */
export function furthest({ a, b, c }: Parabola, limit: number): number {
  if (c === 0 || a > limit) return 0;
  return Math.max(0, (-b + Math.sqrt(b * b - c * (a - limit))) / c);
}
