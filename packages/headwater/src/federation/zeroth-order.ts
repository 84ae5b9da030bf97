/**
 * Slopes and gradient estimates from losses alone (MeZO: Malladi et al. 2023, arXiv:2305.17333): along z(seed)
 * g = (L(θ + εz) − L(θ − εz)) / 2ε, and E[g z] = ∇L for small ε. Both points are copies: θ itself is never written, so it
 * needs no restoring (adding and subtracting εz in place does not give the same bits back). It knows no rounds.
 */

import { HeadwaterError } from '../base/errors.ts';
import { type Params, type Tensor, tensor } from '../base/tensor.ts';
import { addDirection, type DirectionSeed, type Distribution } from './directions.ts';

export type Loss = (params: Params) => Promise<number>;

/** A direction over some tensors; the others do not move. */
export interface Direction {
  readonly seed: DirectionSeed;
  readonly kind: Distribution;
  readonly covers: (name: string) => boolean;
}

/** θ + scale · z, rounded to float32 once; tensors that the direction does not cover are the same objects. */
export function displaced(params: Params, { seed, kind, covers }: Direction, scale: number): Params {
  return new Map(
    [...params].map(([name, value]) => {
      if (!covers(name)) return [name, value];
      const data = value.data.slice();
      addDirection(data, scale, seed, name, kind);
      return [name, tensor('float32', value.shape, data)];
    }),
  );
}

export interface Slope {
  /** Derivative of the loss along z. */
  readonly slope: number;
  /** Mean of the two losses: L(θ) up to O(ε²). */
  readonly loss: number;
}

/** Throws TRAINING_DIVERGED when a loss is not finite. */
export async function slopeAlong(
  loss: Loss,
  params: Params,
  direction: Direction,
  epsilon: number,
): Promise<Slope> {
  const above = await loss(displaced(params, direction, epsilon));
  const below = await loss(displaced(params, direction, -epsilon));
  if (!Number.isFinite(above) || !Number.isFinite(below))
    throw new HeadwaterError('TRAINING_DIVERGED', `the losses at θ ± εz are ${above} and ${below}`, {
      hint: 'Lower training.optimizer.learningRate: without gradients it is far smaller (1e-7 to 1e-4), about 1/√P of the usual.',
    });
  return { slope: (above - below) / (2 * epsilon), loss: (above + below) / 2 };
}

export interface Estimate {
  readonly loss: number;
  /** Of the covered tensors. */
  readonly grads: Map<string, Tensor<'float32'>>;
}

/** The mean of slope · z over directions, which all cover the same tensors. */
export async function estimatedGradient(
  loss: Loss,
  params: Params,
  directions: readonly Direction[],
  epsilon: number,
): Promise<Estimate> {
  const grads = new Map<string, Tensor<'float32'>>();
  for (const [name, { shape, data }] of params)
    if (directions[0]!.covers(name)) grads.set(name, tensor('float32', shape, new Float32Array(data.length)));
  let total = 0;
  for (const direction of directions) {
    const found = await slopeAlong(loss, params, direction, epsilon);
    total += found.loss;
    for (const [name, { data }] of grads)
      addDirection(data, found.slope / directions.length, direction.seed, name, direction.kind);
  }
  return { loss: total / directions.length, grads };
}

export interface Term {
  readonly seed: DirectionSeed;
  readonly scale: number;
}

/** base + Σ scale · z(seed) in float64, rounded once: the same bits for whoever has base and terms. */
export function replayed(base: Params, terms: readonly Term[], kind: Distribution): Params {
  const moved = terms.filter(({ scale }) => scale !== 0);
  if (moved.length === 0) return base;
  return new Map(
    [...base].map(([name, { shape, data }]) => {
      const sum = Float64Array.from(data);
      for (const { seed, scale } of moved) addDirection(sum, scale, seed, name, kind);
      return [name, tensor('float32', shape, Float32Array.from(sum))];
    }),
  );
}
