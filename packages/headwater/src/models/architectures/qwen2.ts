/** Qwen2 and Qwen2.5 (Yang et al. 2024, arXiv:2407.10671): biases on query, key and value; optional window in upper layers. */

import { z } from 'zod';
import type { Architecture } from '../architecture.ts';
import { preNormDecoder, rotatedLayers } from '../blocks/pre-norm-decoder.ts';
import { decoderOf, parseConfig } from '../config.ts';
import { qwenKeys, qwenWindows } from '../qwen-config.ts';

const schema = z.strictObject({ ...qwenKeys, use_mrope: z.literal(false).optional() });

export const qwen2: Architecture = {
  id: 'qwen2',
  summary: 'Qwen2, Qwen2.5 and models of the same form',
  define(raw, where) {
    const config = parseConfig(schema, raw, 'Qwen2ForCausalLM', where);
    return preNormDecoder({
      architecture: 'qwen2',
      ...decoderOf(config, where),
      qkvBias: true,
      outputBias: false,
      mlpBias: false,
      qkNorm: false,
      layers: rotatedLayers(qwenWindows(config, where)),
    });
  },
};
