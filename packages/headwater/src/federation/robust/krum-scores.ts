/** Krum’s scores: how far each point is from its nearest neighbours. They choose nothing. */

import { z } from 'zod';
import { ascending } from './geometry.ts';

/** How many neighbours count: n − f − 2 as published, n − f − 1 as some implementations have it. */
export const neighbours = z
  .enum(['n-f-2', 'n-f-1'])
  .default('n-f-2')
  .describe('How many of its nearest others a score sums over; n-f-2 as published.');

export function neighbourCount(points: number, f: number, choice: z.infer<typeof neighbours>): number {
  return Math.max(1, points - f - (choice === 'n-f-2' ? 2 : 1));
}

/** Σ of the `count` smallest ‖x_i − x_j‖² over j ≠ i, for each of `among`. `squares`: of all points. */
export function krumScores(
  squares: readonly (readonly number[])[],
  among: readonly number[],
  count: number,
): number[] {
  return among.map((i) => {
    const others = among.filter((j) => j !== i).map((j) => squares[i]![j]!);
    const nearest = others.sort((a, b) => a - b).slice(0, count);
    return nearest.reduce((sum, squared) => sum + squared, 0);
  });
}

/** Of `among`, by score; of equals the first comes first. */
export function byScore(among: readonly number[], scores: readonly number[]): number[] {
  return ascending(scores).map((place) => among[place]!);
}
