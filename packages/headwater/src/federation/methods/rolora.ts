/**
 * RoLoRA: one factor a round (Chen et al., NeurIPS 2025, arXiv:2409.02346). Odd rounds train and average B with A frozen,
 * even rounds A with B frozen; the frozen factor is the same everywhere, so averaging is exact each time.
 */

import { z } from 'zod';
import { loraFactor, needsLora } from '../lora-factors.ts';
import type { Method } from '../method.ts';

export const rolora: Method<Record<string, never>> = {
  id: 'rolora',
  summary: 'LoRA, one factor a round in turn: half the bytes, and averaging is exact',
  source: 'Chen et al., NeurIPS 2025, arXiv:2409.02346',
  options: z.strictObject({}),
  secureAggregation: 'yes',
  preconditions: ({ tensors, rounds }) => [
    ...needsLora(tensors),
    ...(rounds < 2 ? ['it needs two rounds at least: one for each factor'] : []),
  ],
  selectTrainable({ name }, round) {
    const factor = loraFactor(name);
    return factor === undefined || factor === (round % 2 === 1 ? 'B' : 'A') ? 'shared' : 'frozen';
  },
};
