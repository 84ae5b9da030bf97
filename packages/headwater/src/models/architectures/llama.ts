/** Llama (Touvron et al. 2023, arXiv:2302.13971; grouped heads and llama3 rotary scaling in later versions). */

import { z } from 'zod';
import type { Architecture } from '../architecture.ts';
import { preNormDecoder, rotatedLayers } from '../blocks/pre-norm-decoder.ts';
import { decoderKeys, decoderOf, parseConfig } from '../config.ts';

const schema = z.strictObject({
  ...decoderKeys,
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
});

export const llama: Architecture = {
  id: 'llama',
  summary: 'Llama 1–3 and models of the same form (SmolLM2, TinyLlama, Yi, DeepSeek-LLM …)',
  define(raw, where) {
    const config = parseConfig(schema, raw, 'LlamaForCausalLM', where);
    return preNormDecoder({
      architecture: 'llama',
      ...decoderOf(config, where),
      qkvBias: config.attention_bias,
      outputBias: config.attention_bias,
      mlpBias: config.mlp_bias,
      qkNorm: false,
      layers: rotatedLayers(new Array(config.num_hidden_layers).fill(undefined)),
    });
  },
};
