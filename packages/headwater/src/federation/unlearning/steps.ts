/**
 * The arithmetic of unlearning an owner: calibrated steps (FedEraser, Liu et al. 2021), the ball of projected gradient ascent
 * (Halimi et al. 2022, arXiv:2207.05521), the weights of negative preference optimisation (Zhang et al. 2024, arXiv:2404.05868), and
 * taking a part out of a weighted sum. Pure; it knows no runs.
 */

import { assert } from '../../base/errors.ts';
import { type Params, tensor } from '../../base/tensor.ts';
import { addScaled, differenceOf, l2Norm, scaled } from '../params.ts';

/** Tensor by tensor ‖old‖ · fresh / ‖fresh‖: as far as then, in the direction of now; zeros where nothing moves now. */
export function calibrated(old: Params, fresh: Params): Params {
  return new Map(
    [...fresh].map(([name, { shape, data }]) => {
      const before = old.get(name);
      assert(before !== undefined, `tensor "${name}" is in both`);
      const length = lengthOf(data);
      const factor = length > 0 ? lengthOf(before.data) / length : 0;
      return [
        name,
        tensor(
          'float32',
          shape,
          Float32Array.from(data, (x) => x * factor),
        ),
      ];
    }),
  );
}

/** The nearest params within `radius` of `centre`. */
export function projected(params: Params, centre: Params, radius: number): Params {
  const away = differenceOf(params, centre);
  const distance = l2Norm(away);
  return distance <= radius ? params : addScaled(centre, scaled(away, radius / distance), 1);
}

/**
 * Weights of the gradients ∇ log π(yᵢ) in that of NPO, −(2/β) E log σ(−β log(π/π_ref)): wᵢ = 2 σ(β (log π − log π_ref)), 1 where
 * the two agree, and 1 everywhere for β → 0, which is gradient ascent on the loss.
 */
export function npoWeight(logRatio: number, beta: number): number {
  return 2 / (1 + Math.exp(-beta * logRatio));
}

/** (sum − share · part) / (1 − share): a weighted mean without one of its parts. */
export function withoutPart(mean: Params, part: Params, share: number): Params {
  assert(share >= 0 && share < 1, `a share of ${share} leaves nothing`);
  return new Map(
    [...mean].map(([name, { shape, data }]) => {
      const own = part.get(name)?.data;
      const left = (x: number, i: number) => (x - share * (own?.[i] ?? 0)) / (1 - share);
      return [name, tensor('float32', shape, Float32Array.from(data, left))];
    }),
  );
}

function lengthOf(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return Math.sqrt(sum);
}
