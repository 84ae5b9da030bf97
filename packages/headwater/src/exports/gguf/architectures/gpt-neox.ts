/** gpt_neox in GGUF: the fused projection by query, key, value instead of head by head. */

import type { GgufArchitecture, RowOrder } from '../architecture.ts';
import { checkActivation, checkPlainAttention, sizeMetadata, TANH_GELU } from '../decoder-metadata.ts';
import { float32, numberOf, unsupported } from '../facts.ts';
import { ropeMetadata, rotaryOf } from '../rope.ts';

const DEFAULT_ROTARY_SHARE = 0.25;
const DEFAULT_THETA = 10_000;

/** Row (part, head, d) there is row (head, part, d) here; parts are query, key, value. */
const byPart: RowOrder = ({ shape }, numRows) => {
  const { headDim, numAttentionHeads } = shape;
  return Int32Array.from({ length: numRows }, (_, row) => {
    const within = row % headDim;
    const head = Math.floor(row / headDim) % numAttentionHeads;
    const part = Math.floor(row / (headDim * numAttentionHeads));
    return (head * 3 + part) * headDim + within;
  });
};

export const gptNeox: GgufArchitecture = {
  id: 'gpt_neox',
  ggufId: 'gptneox',
  tensors: [
    { from: 'gpt_neox.embed_in', to: 'token_embd' },
    { from: 'gpt_neox.layers.{}.input_layernorm', to: 'blk.{}.attn_norm' },
    { from: 'gpt_neox.layers.{}.attention.query_key_value', to: 'blk.{}.attn_qkv', rows: byPart },
    { from: 'gpt_neox.layers.{}.attention.dense', to: 'blk.{}.attn_output' },
    { from: 'gpt_neox.layers.{}.post_attention_layernorm', to: 'blk.{}.ffn_norm' },
    { from: 'gpt_neox.layers.{}.mlp.dense_h_to_4h', to: 'blk.{}.ffn_up' },
    { from: 'gpt_neox.layers.{}.mlp.dense_4h_to_h', to: 'blk.{}.ffn_down' },
    { from: 'gpt_neox.final_layer_norm', to: 'output_norm' },
    { from: 'embed_out', to: 'output' },
  ],
  metadata(facts) {
    const { config } = facts;
    checkPlainAttention(facts);
    // The exact GELU is what these models mean; llama.cpp computes its tanh form, as for every file of them.
    checkActivation(facts, 'hidden_act', ['gelu', ...TANH_GELU]);
    if (config.attention_bias === false || config.tie_word_embeddings === true)
      throw unsupported(facts, 'llama.cpp wants attention biases and an output matrix of its own');
    const rotary = rotaryOf(facts, {
      ropeTheta: numberOf(facts, 'rotary_emb_base', numberOf(facts, 'rope_theta', DEFAULT_THETA)),
      partialRotaryFactor: numberOf(
        facts,
        'rotary_pct',
        numberOf(facts, 'partial_rotary_factor', DEFAULT_ROTARY_SHARE),
      ),
    });
    return [
      ...sizeMetadata(facts, { feedForward: numberOf(facts, 'intermediate_size', 0) }),
      ['attention.layer_norm_epsilon', float32(numberOf(facts, 'layer_norm_eps', 1e-5))],
      ['use_parallel_residual', { type: 'bool', value: config.use_parallel_residual !== false }],
      ...ropeMetadata(facts, rotary, ['linear', 'yarn']),
    ];
  },
};
