/** What every decoder is around its layers: a table of token embeddings below, a projection to the vocabulary above. */

import type { Value } from '../../graph/ir.ts';
import { reshape } from '../../graph/ops/index.ts';
import { defineModel, type ModelFunctions } from '../define-model.ts';
import type { ForwardInputs, ModelDefinition, ModelShape } from '../model.ts';

export interface CausalLm extends Pick<ModelFunctions, 'architecture' | 'shape' | 'otherNames' | 'forward'> {
  /** Module of the table, `model.embed_tokens`. */
  readonly tokenEmbedding: string;
  readonly tieWordEmbeddings: boolean;
  /** Module of the projection where it is not the table; `lm_head` unless given. */
  readonly head?: string;
  /** Logits z become c · tanh(z / c). */
  readonly softCap?: number | undefined;
}

export function causalLm(model: CausalLm): ModelDefinition {
  const { tieWordEmbeddings, head = 'lm_head', softCap, ...functions } = model;
  const { vocabSize, hiddenSize } = model.shape;
  const matrix = `${tieWordEmbeddings ? model.tokenEmbedding : head}.weight`;
  return defineModel({
    ...functions,
    objective: 'causal-lm',
    headModules: [],
    output: (sites, rows) => ({
      rows,
      weight: sites.parameter(matrix, [vocabSize, hiddenSize]),
      ...(softCap === undefined ? {} : { softCap }),
    }),
  });
}

/** Rows of the table at the tokens, times `rowScale`: [N, D]. */
export function embedTokens(
  { sites, tokens }: Pick<ForwardInputs, 'sites' | 'tokens'>,
  module: string,
  { vocabSize, hiddenSize }: Pick<ModelShape, 'vocabSize' | 'hiddenSize'>,
  rowScale = 1,
): Value {
  const [batch, length] = tokens.shape as [number, number];
  return sites.embedding(reshape(tokens, [batch * length]), module, vocabSize, hiddenSize, rowScale);
}
