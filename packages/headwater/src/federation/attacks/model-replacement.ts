/**
 * Model replacement: what was learnt from flipped answers, times n / η, so that the mean becomes what the adversary wants.
 * Bagdasaryan et al., AISTATS 2020, arXiv:1807.00459. Adversaries share the factor.
 */

import { z } from 'zod';
import { type Attack, attackers } from './attack.ts';
import { flipped } from './label-flip.ts';
import { times } from './vectors.ts';

const options = z.strictObject({
  owners: attackers,
  factor: z.number().positive().optional().describe('Default: updates of the round over adversaries in it.'),
});

export const modelReplacement: Attack<z.infer<typeof options>> = {
  id: 'model-replacement',
  summary: 'learns wrong answers and sends them so often over that the mean is its own',
  source: 'Bagdasaryan et al., AISTATS 2020, arXiv:1807.00459',
  options,
  sees: 'own',
  poison: (examples, { all }) => flipped(examples, all),
  craft: ({ own, numUpdates, numAdversaries }, { factor = numUpdates / numAdversaries }) =>
    times(own, factor),
};
