/** SmolLM3 (Hugging Face 2025): llama with layers that are not rotated (NoPE, Yang et al. 2025, arXiv:2501.18795). */

import { z } from 'zod';
import { HeadwaterError } from '../../base/errors.ts';
import type { Architecture } from '../architecture.ts';
import { type LayerPlan, preNormDecoder } from '../blocks/pre-norm-decoder.ts';
import { decoderKeys, decoderOf, layerTypes, parseConfig, positiveInt, windowsOf } from '../config.ts';

const schema = z.strictObject({
  ...decoderKeys,
  // transformers would assume 4 here; a checkpoint that means it says it.
  num_key_value_heads: positiveInt,
  tie_word_embeddings: z.boolean().default(true),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  /** 1: the layer is rotated. */
  no_rope_layers: z.array(z.literal([0, 1])).optional(),
  no_rope_layer_interval: positiveInt.default(4),
  layer_types: layerTypes.optional(),
  use_sliding_window: z.boolean().default(false),
  sliding_window: positiveInt.optional(),
  /** Left over from qwen2; nothing reads it. */
  max_window_layers: z.int().nonnegative().optional(),
});

const DEFAULT_ROPE_THETA = 2_000_000;

export const smollm3: Architecture = {
  id: 'smollm3',
  summary: 'SmolLM3',
  define(raw, where) {
    const config = parseConfig(schema, raw, 'SmolLM3ForCausalLM', where);
    return preNormDecoder({
      architecture: 'smollm3',
      ...decoderOf(config, where, DEFAULT_ROPE_THETA),
      qkvBias: config.attention_bias,
      outputBias: config.attention_bias,
      mlpBias: config.mlp_bias,
      qkNorm: false,
      layers: layersOf(config, where),
    });
  },
};

/** Without `no_rope_layers` every `no_rope_layer_interval`-th layer is not rotated; without `layer_types` only those slide. */
function layersOf(config: z.infer<typeof schema>, where: string): LayerPlan[] {
  const { num_hidden_layers: count, no_rope_layer_interval: interval } = config;
  const rotated =
    config.no_rope_layers?.map((flag) => flag === 1) ??
    Array.from({ length: count }, (_, layer) => (layer + 1) % interval !== 0);
  if (rotated.length !== count)
    throw new HeadwaterError(
      'MODEL_INVALID',
      `no_rope_layers has ${rotated.length} entries for ${count} layers`,
      { where },
    );
  const window = config.use_sliding_window ? config.sliding_window : undefined;
  const types =
    config.layer_types ??
    rotated.map((yes) => (yes || window === undefined ? 'full_attention' : 'sliding_attention'));
  const windows = windowsOf(types, count, window, where);
  return rotated.map((yes, layer) => ({ rotated: yes, window: windows[layer] }));
}
