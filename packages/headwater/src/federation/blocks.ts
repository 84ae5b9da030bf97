/** Leading blocks of tensors: the part of a larger one that somebody with less room has. The rest counts as zero. */

import { assert } from '../base/errors.ts';
import { type Params, sameShape, sizeOf, type Tensor, zeros } from '../base/tensor.ts';

/** The first rows and columns of a tensor of one or two dimensions. */
export function leadingBlock(value: Tensor<'float32'>, shape: readonly number[]): Tensor<'float32'> {
  return sameShape(value.shape, shape) ? value : copied(value, zeros('float32', shape));
}

/** A tensor with zeros below and to the right. */
export function zeroPadded(value: Tensor<'float32'>, shape: readonly number[]): Tensor<'float32'> {
  return sameShape(value.shape, shape) ? value : copied(value, zeros('float32', shape));
}

/** The tensors of `blocks` in the shapes that they have in `whole`. */
export function paddedTo(whole: Params, blocks: Params): Params {
  return new Map([...blocks].map(([name, value]) => [name, zeroPadded(value, whole.get(name)!.shape)]));
}

/** What both have; dimensions that are missing are 1. */
function copied(from: Tensor<'float32'>, to: Tensor<'float32'>): Tensor<'float32'> {
  assert(from.shape.length === to.shape.length && to.shape.length <= 2, `a block of [${from.shape}]`);
  const [fromColumns, toColumns] = [from.shape[1] ?? 1, to.shape[1] ?? 1];
  const rows = Math.min(from.shape[0] ?? 1, to.shape[0] ?? 1);
  const columns = Math.min(fromColumns, toColumns);
  if (sizeOf(from.shape) === 0) return to;
  for (let row = 0; row < rows; row++)
    to.data.set(from.data.subarray(row * fromColumns, row * fromColumns + columns), row * toColumns);
  return to;
}
