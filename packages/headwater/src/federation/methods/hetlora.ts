/**
 * HetLoRA: ranks by owner that clients prune themselves (Cho et al., EMNLP 2024, arXiv:2401.06432). A client of rank r minimises
 *
 *   L + λ Σ_modules ‖B[:, ⌊γr⌋:]‖_F ‖A[⌊γr⌋:, :]‖_F
 *
 * and takes r ← ⌊γ r⌋ when that sum is smaller after the round than before. The server pads with zeros and weights by
 * w_k = ‖B_k A_k‖_F / Σ_j ‖B_j A_j‖_F, not by examples; what nobody in a cohort has stays. Reconstructed from two other
 * implementations: that all modules of an owner share its rank, and that the norm is over all of them, is our reading. What
 * is pruned is zero on the wire, where tensors keep the owner's first rank: bytes do not shrink without a compression.
 */

import { z } from 'zod';
import { type Params, tensor } from '../../base/tensor.ts';
import type { LocalOutcome, LocalRound } from '../local-round.ts';
import { cohortOf, combineModules, type ModuleCohort, rankwiseMean } from '../lora-cohort.ts';
import { loraFigures } from '../lora-error.ts';
import { loraFactor, needsLora } from '../lora-factors.ts';
import { tailPenalty, withoutTail } from '../lora-tail.ts';
import type { Method } from '../method.ts';
import { needsRounds } from '../needs.ts';
import { outerNorm, outerOf } from '../outer-products.ts';
import { ownerRanks, rankMistakes, rankSlots } from '../owner-ranks.ts';
import { differenceOf, selectParams } from '../params.ts';

const options = z.strictObject({
  ranks: ownerRanks,
  lambda: z.number().min(0).default(1e-3).describe('λ: weight of the penalty on the last ranks.'),
  gamma: z.number().gt(0).max(1).default(0.99).describe('γ: share of its rank that a pruning client keeps.'),
  minRank: z.int().positive().default(1).describe('Nobody prunes below this.'),
});

type Options = z.infer<typeof options>;

export const hetlora: Method<Options> = {
  id: 'hetlora',
  summary: 'LoRA with ranks by owner: clients prune their rank, products of larger norm weigh more',
  source: 'Cho et al., EMNLP 2024, arXiv:2401.06432',
  options,
  secureAggregation: { noBecause: 'weights depend on the norms of the clients’ products' },
  exampleLevel: 'yes',
  exceptions: { 'one-owner': 'the penalty on the last ranks joins the loss' },
  preconditions: (facts, own) => [
    ...needsLora(facts.tensors),
    ...needsRounds(facts),
    ...rankMistakes(facts, own),
  ],
  ...rankSlots(),
  client: prunedRound,
  aggregate: {
    kind: 'canonical',
    figures: loraFigures('difference'),
    combine(updates, _options, context) {
      const weights = normWeights(cohortOf(updates, context.params, 'difference'));
      return combineModules(updates, context, 'difference', (module) =>
        rankwiseMean(module, weights, { reweighted: false }),
      );
    },
  },
};

/** w_k over all modules; equal where nobody has a product yet. */
export function normWeights(modules: Iterable<ModuleCohort>): number[] {
  const ofModules = Array.from(modules, ({ clients }) => clients.map(({ a, b }) => outerNorm(outerOf(b, a))));
  const norms = (ofModules[0] ?? []).map((_, k) => Math.hypot(...ofModules.map((own) => own[k]!)));
  const sum = norms.reduce((a, b) => a + b, 0);
  return norms.map((norm) => (sum === 0 ? 1 / norms.length : norm / sum));
}

const RANK = 'rank';

async function prunedRound(local: LocalRound, own: Options): Promise<LocalOutcome> {
  const { memory, wire, start: received } = local;
  const rank = memory?.get(RANK)?.data[0] ?? widestOf(wire);
  const fewer = Math.max(own.minRank, Math.floor(own.gamma * rank));
  const tail = { begin: Math.min(fewer, rank), end: rank };
  const start = withoutTail(received, rank);
  const { params, stats } = await local.train(start, {
    extraGradient: (current) => tailPenalty(current, tail, own.lambda).gradient,
  });
  const prunes = tailPenalty(params, tail).value < tailPenalty(start, tail).value;
  const kept = prunes ? tail.begin : rank;
  const travels = new Set(wire.map(({ name }) => name));
  const sent = (of: Params) => selectParams(of, (name) => travels.has(name));
  return {
    // From what the server knows that this owner received: pruned rows become zero there.
    update: differenceOf(sent(withoutTail(params, kept)), sent(received)),
    memory: new Map([[RANK, tensor('float32', [1], Float32Array.of(kept))]]),
    stats,
  };
}

function widestOf(wire: LocalRound['wire']): number {
  return Math.max(...wire.filter(({ name }) => loraFactor(name) === 'A').map(({ shape }) => shape[0]!));
}
