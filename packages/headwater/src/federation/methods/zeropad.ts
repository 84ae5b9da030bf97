/**
 * FedIT for owners of different ranks: missing rows of A and columns of B count as zeros,
 *
 *   Ā = Σ p_k pad(A_k),  B̄ = Σ p_k pad(B_k),
 *
 * the baseline that papers on mixed ranks compare with (as in FLoRA, Wang et al., NeurIPS 2024, arXiv:2409.05976). Rows that
 * few have are diluted. What nobody in a cohort has stays: zero in both factors could never be trained again.
 */

import { z } from 'zod';
import { combineModules, rankwiseMean } from '../lora-cohort.ts';
import { loraFigures } from '../lora-error.ts';
import { needsLora } from '../lora-factors.ts';
import type { Method } from '../method.ts';
import { needsRounds } from '../needs.ts';
import { ownerRanks, rankMistakes, rankSlots } from '../owner-ranks.ts';

const options = z.strictObject({ ranks: ownerRanks });

export const zeropad: Method<z.infer<typeof options>> = {
  id: 'zeropad',
  summary: 'LoRA with ranks by owner: missing rows are averaged as zeros (the usual baseline)',
  source: 'as the baseline in Wang et al., NeurIPS 2024, arXiv:2409.05976',
  options,
  reducesTo: [{ id: 'fedavg', when: {}, within: 'quantum' }],
  secureAggregation: { noBecause: 'updates of different ranks have different shapes' },
  preconditions: (facts, own) => [
    ...needsLora(facts.tensors),
    ...needsRounds(facts),
    ...rankMistakes(facts, own),
  ],
  ...rankSlots(),
  aggregate: {
    kind: 'canonical',
    figures: loraFigures('difference'),
    combine: (updates, _options, context) =>
      combineModules(updates, context, 'difference', (module) =>
        rankwiseMean(
          module,
          module.clients.map(({ share }) => share),
          { reweighted: false },
        ),
      ),
  },
};
