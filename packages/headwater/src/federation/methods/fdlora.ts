/**
 * FDLoRA: each owner has a personal LoRA beside the global one (arXiv:2406.07925). Round 1 trains it from the common start,
 * and the mean of all is the first global adapter. Then Δ̄ = Σ p_k Δ_k of the global adapter goes through Nesterov momentum,
 * v ← μ v + Δ̄, Θ ← Θ + η (Δ̄ + μ v); every H rounds the owner's copy of the global adapter, as it trained it, becomes its
 * personal one. An owner uses (w₁ A_p + w₂ A_g, w₁ B_p + w₂ B_g), w found without gradients on a few of its examples under
 * λ ‖w‖₁. Only the global adapter travels.
 *
 * Reconstructed from a summary of the paper: the search (an evolution strategy from w = (0, 1)), and that it sees the global
 * adapter as received.
 */

import { z } from 'zod';
import { type Params, tensor } from '../../base/tensor.ts';
import { isSecondFactor, secondFactor, withSecondAdapter } from '../../tuning/second-adapter.ts';
import { type Fusion, GLOBAL_ALONE, searchFusion } from '../adapter-fusion.ts';
import { type LocalRound, standardRound } from '../local-round.ts';
import { fedAvgStep, type Method } from '../method.ts';
import { needsRounds } from '../needs.ts';
import { addScaled, overlaid } from '../params.ts';
import { nesterovStep } from '../server-momentum.ts';
import { adapterRole, needsTwoAdapters, secondOf, weighted } from '../two-adapters.ts';

const options = z.strictObject({
  momentum: z.number().min(0).lt(1).default(0.9).describe('μ of the server.'),
  syncEvery: z
    .int()
    .positive()
    .default(5)
    .describe('H: every so many rounds the personal adapter is the owner’s copy of the global one.'),
  fusion: z
    .strictObject({
      trials: z.int().min(0).default(12).describe('Losses asked for in a round; 0: the global adapter.'),
      batches: z.int().positive().default(1).describe('Batches that a loss is the mean over.'),
      l1: z.number().min(0).default(0.05).describe('λ.'),
      bound: z.number().positive().default(1.5).describe('Weights stay within ± bound.'),
    })
    .prefault({})
    .describe('The search for how much of each adapter an owner uses.'),
});

type FdLoraOptions = z.infer<typeof options>;

export const fdlora: Method<FdLoraOptions> = {
  id: 'fdlora',
  summary: 'personal LoRA beside a global one with server momentum, fused by a search at each owner',
  source: 'FDLoRA 2024, arXiv:2406.07925',
  options,
  secureAggregation: 'yes',
  exceptions: {
    'one-owner':
      'the outer momentum goes further than the update, and an owner uses an adapter of its own beside the global one',
  },
  preconditions: (facts) => [...needsTwoAdapters(facts.tensors), ...needsRounds(facts)],
  tuning: (bound) => withSecondAdapter(bound, 'factors'),
  selectTrainable: adapterRole,
  async client(local, given) {
    const frozen = new Set([...local.start.keys()].filter(isSecondFactor));
    const outcome = await standardRound(local, { frozen });
    const copies = local.round === 1 || local.round % given.syncEvery === 0;
    const personal = copies ? copyOf(addScaled(local.start, outcome.update, 1)) : secondOf(local.start);
    const weights =
      local.round === 1 ? GLOBAL_ALONE : await fused(local, overlaid(local.start, personal), given);
    return { ...outcome, personal, memory: memoryOf(weights) };
  },
  serverByElement: true,
  serverStep: (input) =>
    input.round === 1 ? fedAvgStep(input) : nesterovStep(input, input.options.momentum),
  ownParams(params, { personal, memory }) {
    const [ofPersonal, ofGlobal] = memory?.get(WEIGHTS)?.data ?? [0, 1];
    return weighted(overlaid(params, personal), ofGlobal!, ofPersonal!);
  },
};

const WEIGHTS = 'fusion';

function memoryOf({ personal, global }: Fusion): Params {
  return new Map([[WEIGHTS, tensor('float32', [2], Float32Array.of(personal, global))]]);
}

/** The factors of the first adapter under the names of the second. */
function copyOf(params: Params): Params {
  return new Map(
    [...params].flatMap(([name, value]) =>
      params.has(secondFactor(name)) ? [[secondFactor(name), value] as const] : [],
    ),
  );
}

function fused(local: LocalRound, params: Params, { fusion }: FdLoraOptions): Promise<Fusion> {
  const steps = Array.from({ length: Math.min(fusion.batches, local.steps) }, (_, step) => step);
  const lossOf = async ({ personal, global }: Fusion) => {
    const network = weighted(params, global, personal);
    let sum = 0;
    for (const step of steps) sum += await local.loss(network, step);
    return sum / steps.length;
  };
  return searchFusion(lossOf, fusion, local.random('fusion'));
}
