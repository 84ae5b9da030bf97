/** What gemma2 and gemma3 configurations share. Defaults are those of transformers: published files rely on them. */

import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import { activation } from './blocks/activation.ts';
import { commonKeys, layerTypes, off, positiveInt, sizeKeys } from './config.ts';

const cap = z.number().positive();

export const gemmaKeys = {
  ...commonKeys,
  ...sizeKeys,
  num_key_value_heads: positiveInt.default(4),
  head_dim: positiveInt.default(256),
  rms_norm_eps: z.number().positive().default(1e-6),
  hidden_activation: activation.default('gelu_pytorch_tanh'),
  /** Not read by transformers; published files repeat hidden_activation here. */
  hidden_act: activation.optional(),
  attention_bias: z.boolean().default(false),
  attention_dropout: z.literal(0).optional(),
  tie_word_embeddings: z.boolean().default(true),
  /** Scores are scaled by its inverse square root. */
  query_pre_attn_scalar: z.number().positive().default(256),
  sliding_window: positiveInt.default(4096),
  layer_types: layerTypes.optional(),
  final_logit_softcapping: cap.optional(),
  attn_logit_softcapping: cap.optional(),
  use_bidirectional_attention: off,
};

/** Throws MODEL_UNSUPPORTED where `hidden_act` names another function than the one in use. */
export function checkHiddenAct(
  config: { readonly hidden_act?: string | undefined; readonly hidden_activation: string },
  where: string,
): void {
  const { hidden_act, hidden_activation } = config;
  if (hidden_act === undefined || hidden_act === hidden_activation) return;
  throw new HeadwaterError(
    'MODEL_UNSUPPORTED',
    `hidden_act is "${hidden_act}", but hidden_activation, which decides, is "${hidden_activation}"`,
    { where, hint: 'Set both to what the model was trained with.' },
  );
}
