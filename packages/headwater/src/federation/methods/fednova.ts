/**
 * FedNova: every client's movement is taken as a mean direction before it is averaged, so that owners who step more often
 * do not pull the common objective to theirs (Wang et al., NeurIPS 2020, arXiv:2007.07481):
 *
 *   d_k = Δ_k / ‖a_k‖₁        w ← w + η τ_eff Σ p_k d_k        τ_eff = Σ p_k ‖a_k‖₁
 *
 * where Δ_k = −η_l Σ_t a_{k,t} g_t: a_k holds the local momentum and the proximal term (`accumulatedSteps`). Steps are all
 * the same unless `federation.localEpochs` makes them depend on what an owner holds; then this is FedAvg.
 */

import { z } from 'zod';
import { tensor } from '../../base/tensor.ts';
import { accumulatedSteps, needsSgd } from '../local-sgd.ts';
import type { Method } from '../method.ts';
import { addScaled, differenceOf, scaled, selectParams } from '../params.ts';

const options = z.strictObject({
  mu: z.number().min(0).default(0).describe('μ of a proximal term at the clients, as FedProx’s; 0: none.'),
});

const NORM = { name: 'fednova/norm', shape: [1] };
/** ‖a_k‖₁ travels in this unit, so that thousands of steps stay within the range of the exact sums. */
const UNIT = 1024;

export const fednova: Method<z.infer<typeof options>> = {
  id: 'fednova',
  summary:
    'updates are normalised by the local steps behind them; for owners with different numbers of steps',
  source: 'Wang et al., NeurIPS 2020, arXiv:2007.07481',
  options,
  secureAggregation: 'yes',
  exampleLevel: 'yes',
  preconditions: (facts) => needsSgd(facts, { momentum: true }),
  wire: (tensors) => [...tensors, NORM].sort((a, b) => (a.name < b.name ? -1 : 1)),
  localObjective: ({ params, start }, { mu }) =>
    mu === 0 ? undefined : scaled(differenceOf(params, start), mu),
  async client(local, { mu }) {
    const { params, steps, stats } = await local.train(local.start);
    const norm = accumulatedSteps(steps, local.optimizer, mu);
    const direction = norm === 0 ? 0 : 1 / norm;
    const update = scaled(differenceOf(params, local.start), direction);
    const sent = tensor('float32', [1], Float32Array.of(norm / UNIT));
    return { update: new Map([...update, [NORM.name, sent]]), stats };
  },
  serverStep({ params, aggregate, serverLearningRate }) {
    const direction = selectParams(aggregate, (name) => name !== NORM.name);
    const effectiveSteps = UNIT * (aggregate.get(NORM.name)?.data[0] ?? 0);
    return { params: addScaled(params, direction, serverLearningRate * effectiveSteps) };
  },
};
