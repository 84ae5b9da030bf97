/**
 * FedSA-LoRA: A is shared, B stays with its owner (Guo et al., ICLR 2025, arXiv:2410.01463): Ā = Σ p_k A_k; B_k never
 * travels and goes on where the owner left it. A new owner begins with B = 0.
 */

import { z } from 'zod';
import { loraFactor, needsLora } from '../lora-factors.ts';
import type { Method } from '../method.ts';

export const fedsaLora: Method<Record<string, never>> = {
  id: 'fedsa-lora',
  summary: 'LoRA: factors A are averaged, factors B stay with their owners',
  source: 'Guo et al., ICLR 2025, arXiv:2410.01463',
  options: z.strictObject({}),
  secureAggregation: 'yes',
  preconditions: ({ tensors }) => needsLora(tensors),
  selectTrainable: ({ name }) => (loraFactor(name) === 'B' ? 'personal' : 'shared'),
};
