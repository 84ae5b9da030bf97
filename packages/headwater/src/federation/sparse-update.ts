/**
 * The largest elements of a whole update as two tensors: their values, and the distances between their places in the update
 * laid out as one vector in the order of its tensors' names. 8 bytes an element. It knows no method.
 */

import { assert } from '../base/errors.ts';
import { type Params, sizeOf, type Tensor, tensor } from '../base/tensor.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import { largestElements } from './largest-elements.ts';

const VALUES = 'sparse.values';
/** The first place counts from −1. A distance below 2²⁴ is exact in float32. */
const GAPS = 'sparse.gaps';

/** ⌊density · P⌋, one at least. */
export function numKept(size: number, density: number): number {
  return Math.max(1, Math.floor(density * size));
}

export function numElements(tensors: readonly Pick<TrainableTensor, 'shape'>[]): number {
  return tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}

export function sparseTensors(count: number): TrainableTensor[] {
  return [
    { name: GAPS, shape: [count] },
    { name: VALUES, shape: [count] },
  ];
}

export function toSparse(dense: Params, count: number): Params {
  const { indices, values } = largestElements(flattened(dense), count);
  const gaps = Float32Array.from(indices, (place, i) => place - (i === 0 ? -1 : indices[i - 1]!));
  assert(
    gaps.every((gap) => gap < 2 ** 24),
    'a gap between kept elements is too wide for float32',
  );
  return new Map([
    [GAPS, tensor('float32', [count], gaps)],
    [VALUES, tensor('float32', [count], values)],
  ]);
}

/** `like` has the names and shapes; what was not kept is zero. Gaps from strangers that lead outside count for nothing. */
export function fromSparse(sparse: Params, like: Params): Params {
  const flat = new Float32Array(numElements([...like.values()]));
  const gaps = sparse.get(GAPS)!.data;
  const values = sparse.get(VALUES)!.data;
  let place = -1;
  for (const [i, gap] of gaps.entries()) {
    place += Math.max(1, Math.round(gap));
    if (place < flat.length) flat[place] = values[i]!;
  }
  return shaped(flat, like);
}

/** All but the `count` largest elements set to zero. */
export function largestOf(params: Params, count: number): Params {
  return fromSparse(toSparse(params, count), params);
}

function flattened(params: Params): Float32Array {
  const flat = new Float32Array(numElements([...params.values()]));
  let at = 0;
  for (const [, { data }] of inOrder(params)) {
    flat.set(data, at);
    at += data.length;
  }
  return flat;
}

function shaped(flat: Float32Array, like: Params): Params {
  let at = 0;
  const parts = inOrder(like).map(([name, { shape, data }]): [string, Tensor<'float32'>] => {
    const part = flat.slice(at, at + data.length);
    at += data.length;
    return [name, tensor('float32', shape, part)];
  });
  return new Map(parts);
}

function inOrder(params: Params) {
  return [...params].sort(([a], [b]) => (a < b ? -1 : 1));
}
