/** float64 array helpers for the ops' `reference` functions: slow, obvious, trusted by the tests. */

import { sizeOf } from '../base/tensor.ts';
import type { RefTensor } from './ir.ts';
import type { Shape } from './shapes.ts';

export function refTensor(shape: Shape, fill: (flat: number, index: readonly number[]) => number): RefTensor {
  const data = new Float64Array(sizeOf(shape));
  forEachIndex(shape, (index, flat) => {
    data[flat] = fill(flat, index);
  });
  return { shape, data };
}

/** Visits every index of a shape in row-major order. The index array is reused. */
export function forEachIndex(shape: Shape, visit: (index: readonly number[], flat: number) => void): void {
  const size = sizeOf(shape);
  const index = new Array<number>(shape.length).fill(0);
  for (let flat = 0; flat < size; flat++) {
    visit(index, flat);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (shape[axis] as number)) break;
      index[axis] = 0;
    }
  }
}

/** Element of `t` at an index of a shape that `t` broadcasts to. */
export function broadcastAt(t: RefTensor, index: readonly number[]): number {
  const skip = index.length - t.shape.length;
  let flat = 0;
  for (let i = 0; i < t.shape.length; i++) {
    const size = t.shape[i] as number;
    flat = flat * size + (size === 1 ? 0 : (index[skip + i] as number));
  }
  return t.data[flat] as number;
}

/** Element at a full index. */
export function at(t: RefTensor, index: readonly number[]): number {
  return broadcastAt(t, index);
}

/** Splits a tensor into rows along its last axis and maps each row. */
export function mapRows(t: RefTensor, map: (row: Float64Array) => Float64Array): RefTensor {
  const width = t.shape[t.shape.length - 1] ?? 1;
  const data = new Float64Array(t.data.length);
  for (let start = 0; start < t.data.length; start += width)
    data.set(map(t.data.slice(start, start + width)), start);
  return { shape: t.shape, data };
}
