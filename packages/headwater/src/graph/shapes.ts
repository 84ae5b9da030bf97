/** Shape arithmetic: broadcasting as in NumPy and ONNX, strides, axis normalisation. */

import { assert } from '../base/errors.ts';

export type Shape = readonly number[];

export function broadcastShapes(a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  const result: number[] = [];
  for (let i = 0; i < rank; i++) {
    const da = a[a.length - rank + i] ?? 1;
    const db = b[b.length - rank + i] ?? 1;
    assert(da === db || da === 1 || db === 1, `shapes [${a}] and [${b}] do not broadcast`);
    result.push(da === 1 ? db : da);
  }
  return result;
}

export function axisOf(axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis;
  assert(normal >= 0 && normal < rank, `axis ${axis} of a rank-${rank} tensor`);
  return normal;
}

export function reducedShape(shape: Shape, axes: readonly number[], keepDims: boolean): number[] {
  return keepDims
    ? shape.map((dim, i) => (axes.includes(i) ? 1 : dim))
    : shape.filter((_, i) => !axes.includes(i));
}

export function dim(shape: Shape, axis: number): number {
  const value = shape[axisOf(axis, shape.length)];
  assert(value !== undefined, `axis ${axis} of [${shape}]`);
  return value;
}
