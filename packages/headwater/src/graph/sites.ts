/**
 * Sites: the named places of a network where parameters enter. An architecture (`models/`) calls the sites it is given;
 * a PEFT kind (`tuning/`) wraps them. Neither knows the other. Module names are the checkpoint's own
 * (`model.layers.0.self_attn.q_proj`), so LoRA targets, adapter files and gradients speak the same language.
 *
 * N = B·T rows, D in-features, E out-features.
 */

import type { Value } from './ir.ts';
import { add, gather, matmul, scale } from './ops/index.ts';

/** What a linear module is in its block; PEFT kinds choose their default targets by it. `head`: of a classification head. */
export type LinearRole =
  | 'query'
  | 'key'
  | 'value'
  | 'query-key-value'
  | 'attention-output'
  | 'mlp-input'
  | 'mlp-output'
  | 'head';

export interface LinearShape {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bias: boolean;
  readonly role: LinearRole;
  /** How the checkpoint stores W: [E, D] (`out-in`, the default) or [D, E] (`in-out`, GPT-2's Conv1D). */
  readonly stored?: 'out-in' | 'in-out';
}

/** Shape of `<module>.weight` in the checkpoint. */
export function storedShape({ inFeatures, outFeatures, stored }: LinearShape): readonly [number, number] {
  return stored === 'in-out' ? [inFeatures, outFeatures] : [outFeatures, inFeatures];
}

/** What a vector holds in a network that has learnt nothing: scales of norms 1, or 0 where they are stored around 1; biases 0. */
export type StartOfVector = 'one' | 'zero';

export interface Sites {
  /** A parameter tensor as float32, e.g. `model.norm.weight`. Trainable in `full` tuning, frozen otherwise. */
  parameter(name: string, shape: readonly number[], start?: StartOfVector): Value;
  /** `y = x Wᵀ + b`; x [N, D] → y [N, E]; W = `<module>.weight`, [E, D] unless the shape says how else it is stored. */
  linear(x: Value, module: string, shape: LinearShape): Value;
  /**
   * Rows of `<module>.weight` [V, D] times `rowScale` (1 unless given); ids int32 [N] → [N, D]. An architecture whose
   * embeddings are scaled (gemma: √D) says so here and not afterwards: rows that a kind puts in the place of tokens are not
   * scaled, as in PEFT.
   */
  embedding(ids: Value, module: string, numEmbeddings: number, dim: number, rowScale?: number): Value;
}

/** Sites that find everything by the name of its tensor. A gather of rows comes before what widens them. */
export function parameterSites(parameter: Sites['parameter']): Sites {
  return {
    parameter,
    linear(x, module, shape) {
      const transB = shape.stored !== 'in-out';
      const y = matmul(x, parameter(`${module}.weight`, storedShape(shape)), { transB });
      return shape.bias ? add(y, parameter(`${module}.bias`, [shape.outFeatures])) : y;
    },
    embedding: (ids, module, numEmbeddings, dim, rowScale = 1) =>
      scale(gather(parameter(`${module}.weight`, [numEmbeddings, dim]), ids, 0), rowScale),
  };
}
