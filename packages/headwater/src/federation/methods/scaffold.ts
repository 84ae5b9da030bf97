/**
 * SCAFFOLD: clients step along g − c_k + c, so that they do not drift to their own optima (Karimireddy et al., ICML 2020,
 * arXiv:1910.06378, option II):
 *
 *   c_k⁺ = c_k − c + (wᵗ − w_k) / Σ_t η_t        w ← w + η_g Δ̄        c ← c + Σ_S p_k (c_k⁺ − c_k)
 *
 * with p_k the owner's part of the weight of all owners, so that c = Σ_N p_k c_k after every round; with uniform weighting
 * that is the paper's (1/N) Σ (c_k⁺ − c_k). Σ_t η_t is the paper's Kη_l where the rate is constant. c_k stays with its
 * owner, c is given to all: twice the bytes both ways. An owner that joins later makes c the mean of all but it.
 */

import { z } from 'zod';
import { withExtraTensors } from '../../tuning/extra-tensors.ts';
import type { LocalOutcome, LocalRound } from '../local-round.ts';
import { needsSgd, sumOfRates } from '../local-sgd.ts';
import type { Method } from '../method.ts';
import {
  addScaled,
  differenceOf,
  scaled,
  selectParams,
  underPrefix,
  withoutPrefix,
  zerosLike,
} from '../params.ts';

const CONTROL = 'control/';
const isControl = (name: string) => name.startsWith(CONTROL);

export const scaffold: Method<Record<string, never>> = {
  id: 'scaffold',
  summary: 'control variates take the drift out of clients’ steps; twice the bytes; SGD only',
  source: 'Karimireddy et al., ICML 2020, arXiv:1910.06378',
  options: z.strictObject({}),
  secureAggregation: 'yes',
  exampleLevel: 'yes',
  preconditions: (facts) => [
    ...needsSgd(facts, { momentum: false }),
    ...(facts.mode === 'buffered' ? ['control variates are for synchronous rounds'] : []),
  ],
  tuning: (bound) =>
    withExtraTensors(
      bound,
      bound.tensors.map(({ name, shape }) => ({ name: CONTROL + name, shape })),
    ),
  selectTrainable: ({ name }) => (isControl(name) ? 'given' : 'shared'),
  wire: (tensors) => tensors,
  client: corrected,
  serverStep({ params, aggregate, serverLearningRate, participation }) {
    const moved = addScaled(
      params,
      selectParams(aggregate, (name) => !isControl(name)),
      serverLearningRate,
    );
    return { params: addScaled(moved, selectParams(aggregate, isControl), participation) };
  },
};

async function corrected(local: LocalRound): Promise<LocalOutcome> {
  const begin = selectParams(local.start, (name) => !isControl(name));
  const control = withoutPrefix(CONTROL, local.start);
  const own = local.memory ?? zerosLike(begin);
  const correction = differenceOf(control, own);
  const { params, steps, stats } = await local.train(local.start, { extraGradient: () => correction });
  const update = differenceOf(
    selectParams(params, (name) => !isControl(name)),
    begin,
  );
  const rates = sumOfRates(steps);
  // Where the schedule stood at zero nothing was learnt about the gradient.
  const change = rates === 0 ? zerosLike(begin) : addScaled(scaled(control, -1), update, -1 / rates);
  return {
    update: new Map([...update, ...underPrefix(CONTROL, change)]),
    memory: addScaled(own, change, 1),
    stats,
  };
}
