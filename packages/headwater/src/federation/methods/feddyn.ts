/**
 * FedDyn: clients minimise L + α⟨θ, h_k − wᵗ⟩ + α/2 ‖θ‖², whose fixed points are optima of the common objective also where
 * owners differ and train to the end (Acar et al., ICLR 2021, arXiv:2111.04263):
 *
 *   h_k ← h_k + θ_k − wᵗ        w̄ = Σ_S p_k θ_k        h ← h + Σ_S p_k (θ_k − wᵗ)        wᵗ⁺¹ = w̄ + h
 *
 * with h = Σ_N p_k h_k over all owners. w̄ is what is scored and published, wᵗ what clients begin with; both travel down.
 * The authors' code averages uniformly with α_k = α · n̄ / n_k; here α is the same for all and the means are weighted, which
 * has the same fixed points (the augmented Lagrangian of Σ p_k L_k with p_k in the metric).
 */

import { z } from 'zod';
import type { Params } from '../../base/tensor.ts';
import { withExtraTensors } from '../../tuning/extra-tensors.ts';
import type { LocalOutcome, LocalRound } from '../local-round.ts';
import type { Method } from '../method.ts';
import {
  addScaled,
  differenceOf,
  overlaid,
  scaled,
  selectParams,
  underPrefix,
  withoutPrefix,
  zerosLike,
} from '../params.ts';

const options = z.strictObject({
  alpha: z
    .number()
    .positive()
    .default(0.01)
    .describe('α: how firmly clients are held; the paper tries 0.01 to 0.1.'),
});

const MEAN = 'mean-of-h/';
const isMean = (name: string) => name.startsWith(MEAN);

export const feddyn: Method<z.infer<typeof options>> = {
  id: 'feddyn',
  summary: 'a linear term at each client makes all agree on the optimum of the common objective',
  source: 'Acar et al., ICLR 2021, arXiv:2111.04263',
  options,
  secureAggregation: 'yes',
  exampleLevel: 'yes',
  exceptions: {
    'one-owner': 'a term of its own joins the client’s loss, and the server adds its memory',
    'still-round': 'clients begin at w̄ + h, and where they stay w̄ comes there too',
  },
  preconditions: ({ mode }) => (mode === 'buffered' ? ['its memories are for synchronous rounds'] : []),
  tuning: (bound) =>
    withExtraTensors(
      bound,
      bound.tensors.map(({ name, shape }) => ({ name: MEAN + name, shape })),
    ),
  selectTrainable: ({ name }) => (isMean(name) ? 'given' : 'shared'),
  client: (local, { alpha }) => regularised(local, alpha),
  serverByElement: true,
  serverStep({ params, aggregate, serverLearningRate, participation }) {
    const change = selectParams(underPrefix(MEAN, aggregate), (name) => params.has(name));
    const moved = addScaled(startOf(params), aggregate, serverLearningRate);
    return { params: new Map([...moved, ...addScaled(selectParams(params, isMean), change, participation)]) };
  },
};

/** wᵗ = w̄ + h. */
function startOf(params: Params): Params {
  const mean = selectParams(params, (name) => !isMean(name));
  return addScaled(mean, withoutPrefix(MEAN, params), 1);
}

async function regularised(local: LocalRound, alpha: number): Promise<LocalOutcome> {
  const begin = startOf(local.start);
  const own = local.memory ?? zerosLike(begin);
  const centre = differenceOf(begin, own);
  const { params, stats } = await local.train(overlaid(local.start, begin), {
    extraGradient: (theta) =>
      scaled(
        differenceOf(
          selectParams(theta, (name) => !isMean(name)),
          centre,
        ),
        alpha,
      ),
  });
  const update = differenceOf(
    selectParams(params, (name) => !isMean(name)),
    begin,
  );
  return { update, memory: addScaled(own, update, 1), stats };
}
