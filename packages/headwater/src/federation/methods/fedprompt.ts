/**
 * FedPrompt: only a soft prompt is trained and averaged, P ← Σ p_k P_k, the model never changes (Zhao et al., ICASSP 2023,
 * arXiv:2208.12268). FedAvg that insists on a prompt; the paper's split of the model and its study of poisoned prompts are not
 * built.
 */

import { z } from 'zod';
import type { Method } from '../method.ts';
import { needsPrompt } from '../prompt-tensors.ts';

export const fedprompt: Method<Record<string, never>> = {
  id: 'fedprompt',
  summary: 'soft prompts are averaged, the model stays as it is',
  source: 'Zhao et al., ICASSP 2023, arXiv:2208.12268',
  options: z.strictObject({}),
  secureAggregation: 'yes',
  reducesTo: [{ id: 'fedavg', when: {} }],
  preconditions: ({ tensors }) => needsPrompt(tensors),
};
