/** Reading config.json of encoders: what BERT and RoBERTa have in common. Dropout is a setting of pre-training here. */

import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import { activation } from './blocks/activation.ts';
import type { PostNormEncoderConfig } from './blocks/post-norm-encoder.ts';
import { dropout, off, parseConfig, positiveInt, type RawConfig } from './config.ts';
import type { ModelShape } from './model.ts';

export const encoderKeys = {
  hidden_size: positiveInt,
  intermediate_size: positiveInt,
  num_hidden_layers: positiveInt.max(10_000),
  num_attention_heads: positiveInt,
  vocab_size: positiveInt,
  max_position_embeddings: positiveInt,
  type_vocab_size: positiveInt.default(2),
  layer_norm_eps: z.number().positive().default(1e-12),
  hidden_act: activation.default('gelu'),
  position_embedding_type: z.literal('absolute').optional(),
  hidden_dropout_prob: dropout,
  attention_probs_dropout_prob: dropout,
  classifier_dropout: dropout,
  /** Of the matrix that predicts masked words, which is not used here. */
  tie_word_embeddings: z.boolean().optional(),
  is_decoder: off,
  is_encoder_decoder: off,
  add_cross_attention: off,
  tie_encoder_decoder: off,
  output_past: z.boolean().optional(),
  pruned_heads: z.strictObject({}).optional(),
  // Of the first multilingual BERT, about a pooler that no code ever had.
  directionality: z.literal('bidi').optional(),
  pooler_fc_size: positiveInt.optional(),
  pooler_num_attention_heads: positiveInt.optional(),
  pooler_num_fc_layers: positiveInt.optional(),
  pooler_size_per_head: positiveInt.optional(),
  pooler_type: z.literal('first_token_transform').optional(),
};

export interface EncoderSizes {
  readonly hiddenSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly vocabSize: number;
  /** Longest sequence. */
  readonly maxPositionEmbeddings: number;
  readonly numLabels: number;
}

export function encoderShape({ numLabels, ...sizes }: EncoderSizes, where: string): ModelShape {
  const headDim = sizes.hiddenSize / sizes.numAttentionHeads;
  const invalid = (message: string) => new HeadwaterError('MODEL_INVALID', message, { where });
  if (!Number.isInteger(headDim))
    throw invalid(`hidden size ${sizes.hiddenSize} is no multiple of ${sizes.numAttentionHeads} heads`);
  if (sizes.maxPositionEmbeddings < 1) throw invalid('there are no position embeddings for tokens');
  return { ...sizes, numKeyValueHeads: sizes.numAttentionHeads, headDim, numLogits: numLabels };
}

const encoderConfig = z.strictObject(encoderKeys);

/** The sizes of a BERT-like configuration; the first `positionOffset` rows of its position embeddings are not positions. */
export function bertSizes(
  config: z.infer<typeof encoderConfig>,
  positionOffset: number,
): Omit<EncoderSizes, 'numLabels'> {
  return {
    hiddenSize: config.hidden_size,
    numHiddenLayers: config.num_hidden_layers,
    numAttentionHeads: config.num_attention_heads,
    vocabSize: config.vocab_size,
    maxPositionEmbeddings: config.max_position_embeddings - positionOffset,
  };
}

/** The encoder of such a configuration, under BERT's module names. */
export function bertEncoder(
  config: z.infer<typeof encoderConfig>,
  prefix: string,
  positionOffset: number,
): Omit<PostNormEncoderConfig, 'shape'> {
  return {
    intermediateSize: config.intermediate_size,
    layerNormEpsilon: config.layer_norm_eps,
    activation: config.hidden_act,
    embeddings: `${prefix}.embeddings`,
    positionOffset,
    typeVocabSize: config.type_vocab_size,
    layer(layer) {
      const module = `${prefix}.encoder.layer.${layer}`;
      return {
        query: `${module}.attention.self.query`,
        key: `${module}.attention.self.key`,
        value: `${module}.attention.self.value`,
        attentionOutput: `${module}.attention.output.dense`,
        attentionNorm: `${module}.attention.output.LayerNorm`,
        widen: `${module}.intermediate.dense`,
        narrow: `${module}.output.dense`,
        outputNorm: `${module}.output.LayerNorm`,
      };
    },
  };
}

/** Parses an encoder's config.json; which classes of `architectures` fit is decided with the head. */
export function parseEncoderConfig<T>(schema: z.ZodType<T>, raw: RawConfig, where: string): T {
  return parseConfig(schema, { ...raw, architectures: undefined }, '', where);
}
