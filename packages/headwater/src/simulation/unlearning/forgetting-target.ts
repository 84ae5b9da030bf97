/**
 * What the loss on an owner’s examples would be without it, as far as that is seen without training: where ascent, preference
 * optimisation and negation stop. It is an estimate; what retraining gives is known after retraining.
 */

import type { Params } from '../../base/tensor.ts';
import { addScaled } from '../../federation/params.ts';
import { isPlainMean, othersIn, storedMean } from './local-rounds.ts';
import type { Bench } from './measure.ts';
import type { StoredRun } from './stored-run.ts';

/**
 * The larger of two: the loss on rows like the owner’s that nobody trained on, which is right where the others’ data are like
 * the owner’s, and the loss on its own examples with the sum of all that the others sent, w₀ + η Σ_t Δ̄_t without the owner, which is
 * right where only the owner had such data. Of methods that make no means the first alone; undefined: neither is known.
 */
export async function forgettingTarget(
  stored: StoredRun,
  bench: Bench,
  owner: string,
  begin: Params,
): Promise<number | undefined> {
  const unseen = await bench.unseenLoss(begin);
  if (!isPlainMean(stored)) return unseen;
  const { forget } = await bench.losses([{ params: await sumOfOthers(stored, owner), weight: 1 }]);
  return Math.max(unseen ?? 0, forget);
}

async function sumOfOthers(stored: StoredRun, owner: string): Promise<Params> {
  const { closed, plan } = stored.state;
  let params = await stored.params(0);
  for (const { round } of closed) {
    const owners = othersIn(stored, round, owner);
    if (owners.length === 0) continue;
    params = addScaled(params, await storedMean(stored, round, owners), plan.serverLearningRate);
  }
  return params;
}
