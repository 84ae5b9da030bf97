/**
 * Keys and values of all past tokens of several sequences: two tensors a layer, one slot a sequence. It grows with the
 * longest sequence and shrinks after it, because what a step costs grows with its length. Knows no tokens and no graph.
 *
 * K key-value heads, C rows that fit into a slot, Dh head dim.
 */

import { type Tensor, tensor } from '../../base/tensor.ts';
import type { ModelShape } from '../../models/model.ts';
import { CACHE_SIDES, type CacheSide } from '../programs/decode.ts';

export interface RowsOfSlot {
  readonly slot: number;
  /** The first one. */
  readonly row: number;
  readonly count: number;
}

export interface KeyValueCache {
  /** C. */
  capacity(): number;
  /** Makes room for so many rows a slot; the first rows of each stay. */
  resize(capacity: number): void;
  /** The tensor of `count` slots from `first` on, [count, K, C, Dh]: a view. */
  view(side: CacheSide, layer: number, first: number, count: number): Tensor<'float32'>;
  /** Rows of a slot become the first of row `b` of `rows` [B, K, T, Dh]. */
  write(side: CacheSide, layer: number, place: RowsOfSlot, rows: Tensor, b: number): void;
  /** The first `count` rows of one slot become those of another. */
  copySlot(from: number, to: number, count: number): void;
}

export function createKeyValueCache(model: ModelShape, numSlots: number, first: number): KeyValueCache {
  const { numKeyValueHeads: K, headDim: Dh, numHiddenLayers } = model;
  let C = first;
  const make = () => Array.from({ length: numHiddenLayers }, () => new Float32Array(numSlots * K * C * Dh));
  const data: Readonly<Record<CacheSide, Float32Array[]>> = { k: make(), v: make() };
  /** Element at row `row` of a head of a slot. */
  const start = (slot: number, head: number, row: number) => ((slot * K + head) * C + row) * Dh;
  return {
    capacity: () => C,
    resize(capacity) {
      const kept = Math.min(C, capacity) * Dh;
      const resized = (old: Float32Array) => {
        const values = new Float32Array(numSlots * K * capacity * Dh);
        for (let head = 0; head < numSlots * K; head++) {
          const from = head * C * Dh;
          values.set(old.subarray(from, from + kept), head * capacity * Dh);
        }
        return values;
      };
      for (const side of CACHE_SIDES)
        for (const [layer, old] of data[side].entries()) data[side][layer] = resized(old);
      C = capacity;
    },
    view: (side, layer, slot, count) =>
      tensor(
        'float32',
        [count, K, C, Dh],
        data[side][layer]!.subarray(start(slot, 0, 0), start(slot + count, 0, 0)),
      ),
    write(side, layer, { slot, row, count }, rows, b) {
      const T = rows.shape[2] as number;
      const source = rows.data as Float32Array;
      for (let head = 0; head < K; head++) {
        const from = (b * K + head) * T * Dh;
        data[side][layer]!.set(source.subarray(from, from + count * Dh), start(slot, head, row));
      }
    },
    copySlot(from, to, count) {
      for (const side of CACHE_SIDES)
        for (const values of data[side])
          for (let head = 0; head < K; head++)
            values.copyWithin(start(to, head, 0), start(from, head, 0), start(from, head, count));
    },
  };
}
