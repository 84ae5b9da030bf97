/**
 * FFA-LoRA: A stays as it was drawn, the same for everybody; only B is trained and averaged (Sun et al., ICLR 2024,
 * arXiv:2403.12313). The mean of the products is the product of the means: Σ p_k B_k A₀ = B̄ A₀.
 */

import { z } from 'zod';
import { loraFactor, needsLora } from '../lora-factors.ts';
import type { Method } from '../method.ts';

export const ffaLora: Method<Record<string, never>> = {
  id: 'ffa-lora',
  summary: 'LoRA with A frozen: half the bytes, and averaging is exact',
  source: 'Sun et al., ICLR 2024, arXiv:2403.12313',
  options: z.strictObject({}),
  secureAggregation: 'yes',
  preconditions: ({ tensors }) => needsLora(tensors),
  selectTrainable: ({ name }) => (loraFactor(name) === 'A' ? 'frozen' : 'shared'),
};
