/**
 * FedEraser-like calibrated replay (Liu et al., IWQoS 2021): of every Δt-th round from the owner’s first on, those who remain
 * train a little from where the unlearned model stands; it goes as far as their kept updates went, in the direction of now. The
 * first such round is reused as it is: it began from params that the owner had no part in.
 */

import type { Params } from '../../base/tensor.ts';
import { addScaled } from '../../federation/params.ts';
import { calibrated } from '../../federation/unlearning/steps.ts';
import { meanUpdate, othersIn, requirePlainMean, storedMean, type Trainers } from './local-rounds.ts';
import { firstRoundOf } from './stored-run.ts';

export interface EraseOptions {
  /** Δt. */
  readonly every: number;
  /** Of a round’s local steps that calibration takes. */
  readonly share: number;
}

export async function erased(
  trainers: Trainers,
  owner: string,
  { every, share }: EraseOptions,
): Promise<Params> {
  const { stored } = trainers;
  requirePlainMean(stored, 'federaser');
  const { closed, plan } = stored.state;
  const first = firstRoundOf(stored.state, owner);
  if (first === undefined) return stored.params(closed.length);
  let params = await stored.params(first - 1);
  for (let round = first; round <= closed.length; round += every) {
    const owners = othersIn(stored, round, owner);
    if (owners.length === 0) continue;
    const old = await storedMean(stored, round, owners);
    const asked = { round, owners, params, share };
    const step = round === first ? old : calibrated(old, await meanUpdate(trainers, asked));
    params = addScaled(params, step, plan.serverLearningRate);
  }
  return params;
}
