/** Mistral (Jiang et al. 2023, arXiv:2310.06825): llama without biases, every layer with the same sliding window. */

import { z } from 'zod';
import type { Architecture } from '../architecture.ts';
import { preNormDecoder, rotatedLayers } from '../blocks/pre-norm-decoder.ts';
import { decoderKeys, decoderOf, parseConfig, positiveInt } from '../config.ts';

const schema = z.strictObject({
  ...decoderKeys,
  // transformers would assume 8 here; a checkpoint that means it says it.
  num_key_value_heads: positiveInt,
  sliding_window: positiveInt.optional(),
});

/** transformers' default when the key is absent; `null` switches the window off. */
const DEFAULT_SLIDING_WINDOW = 4096;

export const mistral: Architecture = {
  id: 'mistral',
  summary: 'Mistral 7B and models of the same form (Zephyr, Mistral-Nemo …)',
  define(raw, where) {
    const config = parseConfig(schema, raw, 'MistralForCausalLM', where);
    const window =
      raw.sliding_window === null ? undefined : (config.sliding_window ?? DEFAULT_SLIDING_WINDOW);
    return preNormDecoder({
      architecture: 'mistral',
      ...decoderOf(config, where),
      qkvBias: false,
      outputBias: false,
      mlpBias: false,
      qkNorm: false,
      layers: rotatedLayers(new Array(config.num_hidden_layers).fill(window)),
    });
  },
};
