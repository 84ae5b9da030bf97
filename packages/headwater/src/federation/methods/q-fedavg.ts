/**
 * q-FedAvg: owners with a larger loss count more, the more so the larger q (Li et al., ICLR 2020, arXiv:1905.10497,
 * algorithm 2). With F_k the loss of wᵗ on all of an owner's examples and L = 1 / η, η the clients’ learning rate:
 *
 *   w ← w + η_g Σ p_k F_k^q Δ_k / Σ p_k (q F_k^(q−1) L ‖Δ_k‖² + F_k^q)
 *
 * With uniform weighting p_k drops out and this is the paper's; q = 0 is FedAvg with the same weighting. F_k travels beside
 * the update: an owner that lies about it counts as much as it likes, so bound `federation.maxUpdateNorm`.
 */

import { z } from 'zod';
import { type Params, tensor } from '../../base/tensor.ts';
import { standardRound } from '../local-round.ts';
import type { Method, WeightedUpdate } from '../method.ts';
import { l2Norm, selectParams, weightedSum } from '../params.ts';

const options = z.strictObject({
  q: z.number().min(0).max(10).default(0.2).describe('0: FedAvg; the larger, the more equal the losses.'),
});

const LOSS = { name: 'q-fedavg/loss', shape: [1] };
const SMOOTHNESS = { name: 'q-fedavg/smoothness', shape: [1] };
const FACTS = [LOSS, SMOOTHNESS];
/** As the authors' code has it: a loss of zero has powers too. */
const SMALLEST_LOSS = 1e-10;

export const qFedavg: Method<z.infer<typeof options>> = {
  id: 'q-fedavg',
  summary: 'fair: owners with a larger loss count more',
  source: 'Li et al., ICLR 2020, arXiv:1905.10497',
  options,
  secureAggregation: { noBecause: 'the server weighs each update by its own loss and length' },
  exampleLevel: { noBecause: 'its clients send their loss' },
  reducesTo: [{ id: 'fedavg', when: { q: 0 }, within: 'quantum' }],
  exceptions: { 'one-owner': 'the step is as short as the assumed curvature of the loss asks for' },
  wire: (tensors) => [...tensors, ...FACTS].sort((a, b) => (a.name < b.name ? -1 : 1)),
  async client(local) {
    const loss = await local.lossOnAll(local.start);
    const travelling = local.wire.filter(({ name }) => !FACTS.some((fact) => fact.name === name));
    const { update, stats } = await standardRound({ ...local, wire: travelling });
    const facts = [
      [LOSS.name, tensor('float32', [1], Float32Array.of(loss))],
      [SMOOTHNESS.name, tensor('float32', [1], Float32Array.of(1 / local.optimizer.learningRate))],
    ] as const;
    return { update: new Map([...update, ...facts]), stats };
  },
  aggregate: { kind: 'canonical', combine: (updates, { q }) => fairMean(updates, q) },
};

function fairMean(updates: readonly WeightedUpdate[], q: number): Params {
  const parts = updates.map(({ update, aggregationWeight }) => {
    const moved = selectParams(update, (name) => !FACTS.some((fact) => fact.name === name));
    const loss = Math.max(update.get(LOSS.name)!.data[0]!, 0) + SMALLEST_LOSS;
    const smoothness = Math.max(update.get(SMOOTHNESS.name)!.data[0]!, 0);
    const numerator = aggregationWeight * loss ** q;
    const bend = q === 0 ? 0 : q * loss ** (q - 1) * smoothness * l2Norm(moved) ** 2;
    return { moved, numerator, denominator: aggregationWeight * bend + numerator };
  });
  const total = parts.reduce((sum, { denominator }) => sum + denominator, 0);
  return weightedSum(parts.map(({ moved, numerator }) => ({ params: moved, factor: numerator / total })));
}
