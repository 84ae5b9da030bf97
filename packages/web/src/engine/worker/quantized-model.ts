/**
 * A model with its linear modules as blocks of small integers, rounded here once from the stored checkpoint: the same bytes that
 * Node makes of it.
 */

import { canonicalJson } from '@headwater/base/canonical.ts';
import { digestOf, portableHasher } from '@headwater/client/hashing.ts';
import type { BlockFormat } from '@headwater/graph/ops/index.ts';
import type { Model } from '@headwater/models/model.ts';
import { locateQuantized, quantizedFileBytes, quantizedPieces } from '@headwater/models/quantize-model.ts';
import { quantizedDigest, quantizedModules } from '@headwater/models/quantized-format.ts';
import type { BlobStore } from './blob-store.ts';
import { readStoredWeight, shardTensors } from './stored-model.ts';

/** Modules rounded and in all. */
export type OnRounded = (done: number, total: number) => void;

/** Throws MODEL_INVALID (the weights hold NaN), STORAGE_FAILED. */
export async function quantizedInTab(
  store: BlobStore,
  model: Model,
  format: BlockFormat,
  onRounded?: OnRounded,
): Promise<Model> {
  const modules = quantizedModules(model.definition, format);
  const blob = { name: nameOf(model, format), bytes: quantizedFileBytes(modules, format) };
  await store.make(blob, async (write) => {
    const pieces = quantizedPieces(modules, format, (name) => readStoredWeight(store, model, name));
    let before = 0;
    for await (const { bytes, offsetBytes, done } of pieces) {
      write(bytes, offsetBytes);
      if (done > before) onRounded?.(done, modules.length);
      before = done;
    }
  });
  const entries = await shardTensors(store, { digest: blob.name, path: blob.name });
  const locations = locateQuantized(modules, format, entries);
  return {
    ...model,
    quantized: { ...format, folder: blob.name, modules: new Map(modules.map((m) => [m.module, m])) },
    weights: {
      locate(name) {
        const found = locations.get(name);
        if (found === undefined) return model.weights.locate(name);
        const { offsetBytes, lengthBytes, type } = found;
        return { kind: 'file', path: blob.name, offsetBytes, lengthBytes, type };
      },
    },
    digest: async () => quantizedDigest(await model.digest(), format),
  };
}

/** Says from which bytes it was made: the blobs that hold the checkpoint's tensors, and where in them. */
function nameOf(model: Model, { bits, blockSize }: BlockFormat): string {
  const places = [...model.storedTypes.keys()].map((name) => {
    const at = model.weights.locate(name);
    return at.kind === 'file' ? [name, at.path, at.offsetBytes] : [name];
  });
  const text = new TextEncoder().encode(canonicalJson(places));
  return `int${bits}-${blockSize}-${digestOf(portableHasher, text)}`;
}
