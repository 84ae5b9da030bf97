/**
 * FedAvg: w ← w + η · Σ p_k Δ_k with p_k = n_k / Σ n over the cohort and Δ_k = w_k − w after the client's local steps.
 * McMahan et al., AISTATS 2017, arXiv:1602.05629, algorithm 1 (there η = 1). On LoRA factors it is FedIT: A and B are
 * averaged separately (Zhang et al., ICASSP 2024, arXiv:2305.05644), which is not the mean of the products: how far off is a
 * figure of the round.
 */

import { z } from 'zod';
import { loraFigures } from '../lora-error.ts';
import type { Method } from '../method.ts';

export const fedavg: Method<Record<string, never>> = {
  id: 'fedavg',
  summary: 'weighted mean of the clients’ updates; on LoRA factors this is FedIT',
  source: 'McMahan et al., AISTATS 2017, arXiv:1602.05629; Zhang et al., ICASSP 2024, arXiv:2305.05644',
  options: z.strictObject({}),
  secureAggregation: 'yes',
  aggregate: { kind: 'linear', figures: loraFigures('difference') },
};
