/**
 * RBLA: owners of different ranks; row j of A and column j of B are averaged over those who have them,
 *
 *   A[j] ← Σ_{k: r_k > j} p_k A_k[j] / Σ_{k: r_k > j} p_k,
 *
 * so that rows of few are not diluted by the zeros of many (Chen et al. 2024, arXiv:2408.08699). What nobody in a cohort has
 * stays. Reconstructed from the rule; the paper's text was not at hand. With equal ranks it is FedIT.
 */

import { z } from 'zod';
import { combineModules, rankwiseMean } from '../lora-cohort.ts';
import { loraFigures } from '../lora-error.ts';
import { needsLora } from '../lora-factors.ts';
import type { Method } from '../method.ts';
import { needsRounds } from '../needs.ts';
import { ownerRanks, rankMistakes, rankSlots } from '../owner-ranks.ts';

const options = z.strictObject({ ranks: ownerRanks });

export const rbla: Method<z.infer<typeof options>> = {
  id: 'rbla',
  summary: 'LoRA with ranks by owner: each row is averaged over those who have it',
  source: 'Chen et al. 2024, arXiv:2408.08699',
  options,
  reducesTo: [{ id: 'fedavg', when: {}, within: 'quantum' }],
  secureAggregation: { noBecause: 'the server divides each row by the weight of those who have it' },
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
          { reweighted: true },
        ),
      ),
  },
};
