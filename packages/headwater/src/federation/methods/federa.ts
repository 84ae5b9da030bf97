/**
 * FeDeRA: federated LoRA from the leading singular directions of the base (Yan et al. 2024, arXiv:2404.18848): W₀ = U S Vᵀ,
 * B₀ = U_r √(S_r / s), A₀ = √(S_r / s) V_rᵀ, and the frozen weight is W₀ − s B₀ A₀, so that the network begins as its base.
 * Then FedAvg of A and B. Singular vectors are found to float32's precision, with fixed signs: the same for everybody. The
 * result is written as LoRA of rank 2r with [A; A₀] and [B, −B₀] for the unchanged base. From the idea as it is known; the
 * paper's text was not at hand.
 */

import { z } from 'zod';
import { isInitialFactor, withBaseFactors } from '../base-factors.ts';
import { needsLora } from '../lora-factors.ts';
import type { Method } from '../method.ts';

export const federa: Method<Record<string, never>> = {
  id: 'federa',
  summary: 'LoRA that begins as the leading singular directions of the base',
  source: 'Yan et al. 2024, arXiv:2404.18848',
  options: z.strictObject({}),
  secureAggregation: 'yes',
  preconditions({ tensors }) {
    const mistakes = needsLora(tensors);
    if (mistakes.length > 0 || tensors.some(({ name }) => isInitialFactor(name))) return mistakes;
    return ['it begins from products of factors, which only tuning.kind lora adds to the base'];
  },
  tuning: withBaseFactors,
  selectTrainable: ({ name }) => (isInitialFactor(name) ? 'frozen' : 'shared'),
};
