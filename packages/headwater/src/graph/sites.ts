/**
 * Sites: the named places of a network where parameters enter. An architecture (`models/`) calls the sites it is given;
 * a PEFT kind (`tuning/`) wraps them. Neither knows the other. Module names are the checkpoint's own
 * (`model.layers.0.self_attn.q_proj`), so LoRA targets, adapter files and gradients speak the same language.
 *
 * N = B·T rows, D in-features, E out-features.
 */

import type { Value } from './ir.ts';

export interface LinearShape {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bias: boolean;
}

export interface Sites {
  /** A parameter tensor as float32, e.g. `model.norm.weight`. Trainable in `full` tuning, frozen otherwise. */
  parameter(name: string, shape: readonly number[]): Value;
  /** `y = x Wᵀ + b`; x [N, D] → y [N, E]; W = `<module>.weight` [E, D]. */
  linear(x: Value, module: string, shape: LinearShape): Value;
  /** Rows of `<module>.weight` [V, D]; ids int32 [N] → [N, D]. */
  embedding(ids: Value, module: string, numEmbeddings: number, dim: number): Value;
}
