/**
 * How much of each of two adapters an owner should use: a seeded search over two numbers by losses on a few of its own
 * examples, without gradients (after AdaFusion and LoraHub). It knows no adapters.
 */

import type { Rng } from '../base/random.ts';

export interface Fusion {
  /** Of the owner's adapter. */
  readonly personal: number;
  /** Of the shared one. */
  readonly global: number;
}

export interface FusionOptions {
  /** Losses that may be asked for. */
  readonly trials: number;
  /** λ of λ (|w₁| + |w₂|). */
  readonly l1: number;
  /** Weights stay within ±bound. */
  readonly bound: number;
}

/** The shared adapter alone. */
export const GLOBAL_ALONE: Fusion = { personal: 0, global: 1 };

const FIRST_STEP = 0.3;
const GROWTH = 1.5;

/**
 * argmin of loss(w) + λ ‖w‖₁ by a (1 + 1) evolution strategy from the shared adapter alone and from half of each; steps
 * grow with success and shrink so that one success in five keeps them (Rechenberg). Never worse than where it began.
 */
export async function searchFusion(
  lossOf: (weights: Fusion) => Promise<number>,
  { trials, l1, bound }: FusionOptions,
  random: Rng,
): Promise<Fusion> {
  const cost = async (weights: Fusion) =>
    (await lossOf(weights)) + l1 * (Math.abs(weights.personal) + Math.abs(weights.global));
  let best = GLOBAL_ALONE;
  let lowest = trials > 0 ? await cost(best) : 0;
  let step = FIRST_STEP;
  const near = (x: number) => Math.max(-bound, Math.min(bound, x + step * random.normal()));
  for (let trial = 1; trial < trials; trial++) {
    const other =
      trial === 1
        ? { personal: 0.5, global: 0.5 }
        : { personal: near(best.personal), global: near(best.global) };
    const found = await cost(other);
    if (found < lowest) [best, lowest, step] = [other, found, step * GROWTH];
    else step *= GROWTH ** -0.25;
  }
  return best;
}
