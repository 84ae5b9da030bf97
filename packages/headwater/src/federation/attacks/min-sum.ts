/**
 * Min-sum: as far from the honest mean as leaves the sum of squared distances to the honest updates no larger than that of one of
 * these. Shejwalkar and Houmansadr, NDSS 2021.
 */

import { z } from 'zod';
import { type Attack, attackers } from './attack.ts';
import { direction, type Field, fieldOf, furthest } from './furthest.ts';
import { plus } from './vectors.ts';

const options = z.strictObject({ owners: attackers, direction });

export const minSum: Attack<z.infer<typeof options>> = {
  id: 'min-sum',
  summary: 'goes as far as the honest owner that is furthest from all others',
  source: 'Shejwalkar and Houmansadr, NDSS 2021',
  options,
  sees: 'honest',
  alike: true,
  craft({ honest }, { direction }) {
    const field = fieldOf(honest, direction);
    return plus(field.mean, field.towards, minSumGamma(field));
  },
};

export function minSumGamma({ distances, squares }: Field): number {
  const sumOf = (key: 'a' | 'b' | 'c') => distances.reduce((sum, parabola) => sum + parabola[key], 0);
  const sums = squares.map((row) => row.reduce((sum, value) => sum + value, 0));
  return furthest({ a: sumOf('a'), b: sumOf('b'), c: sumOf('c') }, Math.max(...sums));
}
