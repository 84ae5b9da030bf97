/** NaN in place of an update: what a check of updates must refuse, and a run must survive. */

import { z } from 'zod';
import { type Attack, attackers } from './attack.ts';

const options = z.strictObject({ owners: attackers });

export const notANumber: Attack<z.infer<typeof options>> = {
  id: 'nan',
  summary: 'sends what is no number, which must be refused',
  source: 'Headwater 2026: one such update would make the model NaN',
  options,
  sees: 'honest',
  refused: true,
  craft: ({ size }) => new Float64Array(size).fill(Number.NaN),
};
