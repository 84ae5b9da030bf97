/** Tensors of a tuning by the block of the network that they lie in. It knows names, no kinds and no architectures. */

import type { TrainableTensor } from '../tuning/kind.ts';
import { layerIndex } from '../tuning/lora-targets.ts';

/** Undefined: outside of the blocks (a head, embeddings). */
export function layerOf({ name }: Pick<TrainableTensor, 'name'>): number | undefined {
  return layerIndex(`${name}.`, undefined);
}

/** Blocks that have trained tensors, rising. */
export function adaptedLayers(tensors: readonly Pick<TrainableTensor, 'name'>[]): number[] {
  const layers = tensors.flatMap((tensor) => layerOf(tensor) ?? []);
  return [...new Set(layers)].sort((a, b) => a - b);
}
