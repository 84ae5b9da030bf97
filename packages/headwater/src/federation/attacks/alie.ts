/**
 * A little is enough: the mean of the honest updates, z standard deviations away in every coordinate. Baruch et al., NeurIPS 2019,
 * arXiv:1902.06156. The largest z that hides: Φ⁻¹((n − f − s) / (n − f)) with s = ⌊n / 2⌋ + 1 − f honest ones to be passed for
 * a majority.
 */

import { z } from 'zod';
import { erfc } from '../../privacy/accounting/erfc.ts';
import { type Attack, attackers } from './attack.ts';
import { deviationOf, meanOf, plus } from './vectors.ts';

const options = z.strictObject({
  owners: attackers,
  z: z.number().optional().describe('How far, downwards. Default: as far as hides among so many.'),
});

export const alie: Attack<z.infer<typeof options>> = {
  id: 'alie',
  summary: 'sends the honest owners’ mean, moved as far as their spread hides',
  source: 'Baruch et al., NeurIPS 2019, arXiv:1902.06156',
  options,
  sees: 'honest',
  alike: true,
  craft({ honest, numUpdates, numAdversaries }, options) {
    const mean = meanOf(honest);
    const z = options.z ?? largestHidden(numUpdates, numAdversaries);
    return plus(mean, deviationOf(honest, mean), -z);
  },
};

/** z_max for n updates, f of them adversaries’. */
export function largestHidden(n: number, f: number): number {
  const s = Math.floor(n / 2) + 1 - f;
  return normalQuantile((n - f - s) / (n - f));
}

/** Φ⁻¹ by bisection, for probabilities away from 0 and 1. */
function normalQuantile(p: number): number {
  let [low, high] = [-40, 40];
  for (let i = 0; i < 200; i++) {
    const middle = (low + high) / 2;
    if (erfc(-middle / Math.SQRT2) / 2 < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
