/**
 * FedAdam: v ← β₂ v + (1 − β₂) Δ̄² (Reddi et al. 2021, arXiv:2003.00295). Flower also corrects for the start at zero: its η is
 * multiplied by √(1 − β₂^(t+1)) / (1 − β₁^(t+1)) in round t.
 */

import { z } from 'zod';
import { adaptiveStep, dialect } from '../adaptive-server.ts';
import type { Method } from '../method.ts';

const options = z.strictObject({
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.99),
  tau: z.number().positive().default(1e-3),
  dialect,
});

export const fedadam: Method<z.infer<typeof options>> = {
  id: 'fedadam',
  summary: 'adaptive server: Adam on the mean update',
  source: 'Reddi et al., ICLR 2021, arXiv:2003.00295',
  options,
  secureAggregation: 'yes',
  serverStep: (input) =>
    adaptiveStep(
      {
        secondMoment: (v, square, { beta2 }) => beta2 * v + (1 - beta2) * square,
        rate: (round, { beta1, beta2, dialect }) =>
          dialect === 'flower' ? Math.sqrt(1 - beta2 ** (round + 1)) / (1 - beta1 ** (round + 1)) : 1,
      },
      input,
    ),
};
