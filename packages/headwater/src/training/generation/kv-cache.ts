/**
 * Keys and values of all past tokens of several sequences: two tensors a layer, one slot a sequence. Slots are contiguous,
 * so the graph reads and writes any run of them in place. Knows no tokens and no graph.
 *
 * K key-value heads, C rows that fit into a slot, Dh head dim.
 */

import { type Tensor, tensor } from '../../base/tensor.ts';
import type { ModelShape } from '../../models/model.ts';
import { CACHE_SIDES, type CacheSide } from '../programs/decode.ts';

export interface KeyValueCache {
  readonly numSlots: number;
  /** C. */
  readonly capacity: number;
  /** The tensor of `count` slots from `first` on, [count, K, C, Dh]: a view. */
  view(side: CacheSide, layer: number, first: number, count: number): Tensor<'float32'>;
  /** The first `count` rows of one slot become those of another. */
  copySlot(from: number, to: number, count: number): void;
  /** The first rows of a slot become `rows` [1, K, P, Dh]. */
  writeFirst(side: CacheSide, layer: number, slot: number, rows: Tensor): void;
}

/** The memory is reserved here and taken from the system only as rows are written. */
export function createKeyValueCache(model: ModelShape, numSlots: number, capacity: number): KeyValueCache {
  const { numKeyValueHeads: K, headDim: Dh, numHiddenLayers } = model;
  const slotSize = K * capacity * Dh;
  const make = () => Array.from({ length: numHiddenLayers }, () => new Float32Array(numSlots * slotSize));
  const data: Readonly<Record<CacheSide, readonly Float32Array[]>> = { k: make(), v: make() };
  return {
    numSlots,
    capacity,
    view: (side, layer, first, count) =>
      tensor(
        'float32',
        [count, K, capacity, Dh],
        data[side][layer]!.subarray(first * slotSize, (first + count) * slotSize),
      ),
    copySlot(from, to, count) {
      for (const side of CACHE_SIDES)
        for (const values of data[side])
          for (let head = 0; head < K; head++) {
            const start = from * slotSize + head * capacity * Dh;
            values.copyWithin(to * slotSize + head * capacity * Dh, start, start + count * Dh);
          }
    },
    writeFirst(side, layer, slot, rows) {
      const size = (rows.shape[2] as number) * Dh;
      const source = rows.data as Float32Array;
      for (let head = 0; head < K; head++)
        data[side][layer]!.set(
          source.subarray(head * size, (head + 1) * size),
          slot * slotSize + head * capacity * Dh,
        );
    },
  };
}
