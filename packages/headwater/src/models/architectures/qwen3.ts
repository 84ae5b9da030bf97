/** Qwen3, dense (Yang et al. 2025, arXiv:2505.09388): RMS norms on query and key heads instead of biases. */

import { z } from 'zod';
import type { Architecture } from '../architecture.ts';
import { preNormDecoder, rotatedLayers } from '../blocks/pre-norm-decoder.ts';
import { decoderOf, parseConfig, positiveInt } from '../config.ts';
import { qwenKeys, qwenWindows } from '../qwen-config.ts';

const schema = z.strictObject({
  ...qwenKeys,
  // transformers would assume 128 here, not hidden_size / heads; a checkpoint that means it says it.
  head_dim: positiveInt,
  attention_bias: z.boolean().default(false),
});

export const qwen3: Architecture = {
  id: 'qwen3',
  summary: 'Qwen3 dense models',
  define(raw, where) {
    const config = parseConfig(schema, raw, 'Qwen3ForCausalLM', where);
    return preNormDecoder({
      architecture: 'qwen3',
      ...decoderOf(config, where),
      qkvBias: config.attention_bias,
      outputBias: config.attention_bias,
      mlpBias: false,
      qkNorm: true,
      layers: rotatedLayers(qwenWindows(config, where)),
    });
  },
};
