/** gpt2 in GGUF: learnt positions, layer norms with biases, matrices turned to out-features first. */

import type { GgufArchitecture } from '../architecture.ts';
import { checkActivation, checkPlainAttention, sizeMetadata, TANH_GELU } from '../decoder-metadata.ts';
import { float32, numberOf } from '../facts.ts';

export const gpt2: GgufArchitecture = {
  id: 'gpt2',
  ggufId: 'gpt2',
  tensors: [
    { from: 'transformer.wte', to: 'token_embd' },
    { from: 'transformer.wpe', to: 'position_embd' },
    { from: 'transformer.h.{}.ln_1', to: 'blk.{}.attn_norm' },
    { from: 'transformer.h.{}.attn.c_attn', to: 'blk.{}.attn_qkv' },
    { from: 'transformer.h.{}.attn.c_proj', to: 'blk.{}.attn_output' },
    { from: 'transformer.h.{}.ln_2', to: 'blk.{}.ffn_norm' },
    { from: 'transformer.h.{}.mlp.c_fc', to: 'blk.{}.ffn_up' },
    { from: 'transformer.h.{}.mlp.c_proj', to: 'blk.{}.ffn_down' },
    { from: 'transformer.ln_f', to: 'output_norm' },
    { from: 'lm_head', to: 'output' },
  ],
  metadata(facts) {
    checkPlainAttention(facts);
    checkActivation(facts, 'activation_function', [...TANH_GELU]);
    return [
      ...sizeMetadata(facts, { feedForward: numberOf(facts, 'n_inner', 4 * facts.shape.hiddenSize) }),
      ['attention.layer_norm_epsilon', float32(numberOf(facts, 'layer_norm_epsilon', 1e-5))],
    ];
  },
};
