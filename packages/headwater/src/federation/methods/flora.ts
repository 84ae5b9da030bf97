/**
 * FLoRA: factors of any ranks are stacked, and the stack is merged into the base (Wang et al., NeurIPS 2024,
 * arXiv:2409.05976). Each round a client begins with a fresh A_k and B_k = 0; the server makes
 *
 *   W ← W + s [p₁B₁ | … | p_KB_K] [A₁; …; A_K] = W + s Σ p_k B_k A_k,
 *
 * with the weights in one factor only. Here the sum of all rounds is a residual of the base that travels down (dense, or
 * factors of a fixed rank); in the paper the round's stack travels and everybody merges it.
 */

import { z } from 'zod';
import { needsResidual, residualForm, residualRole, withResidual } from '../base-residual.ts';
import { combineModules, weightedStack } from '../lora-cohort.ts';
import { loraFigures } from '../lora-error.ts';
import type { Method } from '../method.ts';
import { needsNoErrorFeedback, needsRounds } from '../needs.ts';
import { ownerRanks, rankMistakes, rankSlots } from '../owner-ranks.ts';
import { stackedRound, withoutFactors } from '../stacked-round.ts';

const options = z.strictObject({ ranks: ownerRanks, residual: residualForm });

export const flora: Method<z.infer<typeof options>> = {
  id: 'flora',
  summary: 'LoRA with ranks by owner: fresh factors each round, stacked and merged into the base',
  source: 'Wang et al., NeurIPS 2024, arXiv:2409.05976',
  options,
  secureAggregation: { noBecause: 'the server multiplies the factors of each client' },
  exceptions: {
    'one-owner': 'clients begin their factors afresh in every round',
    'base-weights': 'what factors cannot hold goes into a residual of the base',
  },
  preconditions: (facts, own) => [
    ...needsResidual(facts.tensors),
    ...needsRounds(facts),
    ...needsNoErrorFeedback(facts),
    ...rankMistakes(facts, own),
  ],
  tuning: (bound, layout, { residual }) => withResidual(bound, layout, residual),
  selectTrainable: residualRole,
  ...rankSlots(),
  client: stackedRound,
  receivesAs: () => 'all',
  encodeDown: withoutFactors,
  aggregate: {
    kind: 'canonical',
    figures: loraFigures('whole'),
    combine: (updates, _options, context) =>
      combineModules(updates, context, 'whole', ({ clients }) => ({ residual: weightedStack(clients) })),
  },
};
