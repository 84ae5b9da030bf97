/** Tensor names that several architectures share, in Hugging Face's words and in llama.cpp's. */

import type { TensorRule } from './architecture.ts';
import { interleavedRows } from './rope.ts';

export const EMBEDDINGS: readonly TensorRule[] = [
  { from: 'model.embed_tokens', to: 'token_embd' },
  { from: 'model.norm', to: 'output_norm' },
  { from: 'lm_head', to: 'output' },
];

export const PRE_NORMS: readonly TensorRule[] = [
  { from: 'model.layers.{}.input_layernorm', to: 'blk.{}.attn_norm' },
  { from: 'model.layers.{}.post_attention_layernorm', to: 'blk.{}.ffn_norm' },
];

export const ATTENTION: readonly TensorRule[] = [
  { from: 'model.layers.{}.self_attn.q_proj', to: 'blk.{}.attn_q' },
  { from: 'model.layers.{}.self_attn.k_proj', to: 'blk.{}.attn_k' },
  { from: 'model.layers.{}.self_attn.v_proj', to: 'blk.{}.attn_v' },
  { from: 'model.layers.{}.self_attn.o_proj', to: 'blk.{}.attn_output' },
];

/** Of architectures that llama.cpp turns by neighbours. */
export const INTERLEAVED_ATTENTION: readonly TensorRule[] = ATTENTION.map((rule) =>
  /attn_[qk]$/.test(rule.to) ? { ...rule, rows: interleavedRows } : rule,
);

export const QUERY_KEY_NORMS: readonly TensorRule[] = [
  { from: 'model.layers.{}.self_attn.q_norm', to: 'blk.{}.attn_q_norm' },
  { from: 'model.layers.{}.self_attn.k_norm', to: 'blk.{}.attn_k_norm' },
];

export const GATED_MLP: readonly TensorRule[] = [
  { from: 'model.layers.{}.mlp.gate_proj', to: 'blk.{}.ffn_gate' },
  { from: 'model.layers.{}.mlp.up_proj', to: 'blk.{}.ffn_up' },
  { from: 'model.layers.{}.mlp.down_proj', to: 'blk.{}.ffn_down' },
];
