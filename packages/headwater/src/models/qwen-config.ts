/** What qwen2 and qwen3 configurations share: which layers use a sliding window. */

import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import { decoderKeys, layerTypes, positiveInt, windowsOf } from './config.ts';

export const qwenKeys = {
  ...decoderKeys,
  // transformers would assume 32 here; a checkpoint that means it says it.
  num_key_value_heads: positiveInt,
  use_sliding_window: z.boolean().default(false),
  sliding_window: positiveInt.optional(),
  max_window_layers: z.int().nonnegative().optional(),
  layer_types: layerTypes.optional(),
};

const qwenConfig = z.strictObject(qwenKeys);

/**
 * Without `use_sliding_window` the window is unset, whatever `sliding_window` says. Without `layer_types` (older files)
 * layers from `max_window_layers` on slide.
 */
export function qwenWindows(config: z.infer<typeof qwenConfig>, where: string): (number | undefined)[] {
  if (config.use_sliding_window && config.sliding_window === undefined)
    throw new HeadwaterError('MODEL_INVALID', 'use_sliding_window is true, but sliding_window is missing', {
      where,
    });
  const window = config.use_sliding_window ? config.sliding_window : undefined;
  const firstSliding = config.max_window_layers ?? DEFAULT_MAX_WINDOW_LAYERS;
  const types =
    config.layer_types ??
    Array.from({ length: config.num_hidden_layers }, (_, layer) =>
      window !== undefined && layer >= firstSliding ? 'sliding_attention' : 'full_attention',
    );
  return windowsOf(types, config.num_hidden_layers, window, where);
}

/** transformers' default for both architectures. */
const DEFAULT_MAX_WINDOW_LAYERS = 28;
