/** What gemma2 and gemma3 share in GGUF: tensor names, norms that hold 1 + w, alternating windows, the scale of scores. */

import type { GgufFacts, TensorRule } from './architecture.ts';
import { uint32, unsupported } from './facts.ts';
import type { GgufValue } from './format.ts';

/** `root`: the module that holds the layers. */
export function gemmaTensors(root: string): TensorRule[] {
  const layer = `${root}.layers.{}`;
  const norm = (from: string, to: string): TensorRule => ({ from, to, plus: 1 });
  return [
    { from: `${root}.embed_tokens`, to: 'token_embd' },
    norm(`${root}.norm`, 'output_norm'),
    norm(`${layer}.input_layernorm`, 'blk.{}.attn_norm'),
    { from: `${layer}.self_attn.q_proj`, to: 'blk.{}.attn_q' },
    { from: `${layer}.self_attn.k_proj`, to: 'blk.{}.attn_k' },
    { from: `${layer}.self_attn.v_proj`, to: 'blk.{}.attn_v' },
    { from: `${layer}.self_attn.o_proj`, to: 'blk.{}.attn_output' },
    norm(`${layer}.self_attn.q_norm`, 'blk.{}.attn_q_norm'),
    norm(`${layer}.self_attn.k_norm`, 'blk.{}.attn_k_norm'),
    norm(`${layer}.post_attention_layernorm`, 'blk.{}.post_attention_norm'),
    norm(`${layer}.pre_feedforward_layernorm`, 'blk.{}.ffn_norm'),
    { from: `${layer}.mlp.gate_proj`, to: 'blk.{}.ffn_gate' },
    { from: `${layer}.mlp.up_proj`, to: 'blk.{}.ffn_up' },
    { from: `${layer}.mlp.down_proj`, to: 'blk.{}.ffn_down' },
    norm(`${layer}.post_feedforward_layernorm`, 'blk.{}.post_ffw_norm'),
  ];
}

/**
 * llama.cpp multiplies scores by 1/√Dh, or by 1/√(hidden_size / heads) for the model with `layersOf27B` layers, the file has
 * no key for it. What the model's own scale is of that goes into the queries.
 */
export function gemmaScale({ shape, attention }: GgufFacts, layersOf27B: number): number {
  const { hiddenSize, numAttentionHeads, headDim, numHiddenLayers } = shape;
  const dim = numHiddenLayers === layersOf27B ? Math.trunc(hiddenSize / numAttentionHeads) : headDim;
  const ratio = attention[0]!.scale * Math.sqrt(dim);
  return Math.abs(ratio - 1) < 1e-9 ? 1 : ratio;
}

/** Of every `period` layers the last one sees everything; the others slide. */
export function slidingMetadata(facts: GgufFacts): (readonly [string, GgufValue])[] {
  const windows = facts.attention.map(({ window }) => window);
  const window = windows.find((size) => size !== undefined);
  const first = windows.indexOf(undefined);
  const period = first < 0 ? windows.length + 1 : first + 1;
  const regular = windows.every((size, layer) => size === ((layer + 1) % period === 0 ? undefined : window));
  if (window === undefined || !regular)
    throw unsupported(
      facts,
      `sliding windows by layer are [${windows.map((size) => size ?? 'none')}]; llama.cpp knows one window with every n-th layer without`,
    );
  return [
    ['attention.sliding_window', uint32(window)],
    ['attention.sliding_window_pattern', uint32(period)],
  ];
}
