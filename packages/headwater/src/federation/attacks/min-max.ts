/**
 * Min-max: as far from the honest mean as leaves the largest distance to an honest update no larger than the largest between two
 * of these. Shejwalkar and Houmansadr, NDSS 2021.
 */

import { z } from 'zod';
import { type Attack, attackers } from './attack.ts';
import { direction, type Field, fieldOf, furthest } from './furthest.ts';
import { plus } from './vectors.ts';

const options = z.strictObject({ owners: attackers, direction });

export const minMax: Attack<z.infer<typeof options>> = {
  id: 'min-max',
  summary: 'goes as far as two honest owners are apart',
  source: 'Shejwalkar and Houmansadr, NDSS 2021',
  options,
  sees: 'honest',
  alike: true,
  craft({ honest }, { direction }) {
    const field = fieldOf(honest, direction);
    return plus(field.mean, field.towards, minMaxGamma(field));
  },
};

export function minMaxGamma({ distances, squares }: Field): number {
  const widest = Math.max(...squares.flat());
  return Math.min(...distances.map((parabola) => furthest(parabola, widest)));
}
