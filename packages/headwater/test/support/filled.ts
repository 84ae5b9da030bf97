/** Test helper: params whose elements are a function of their number, over all tensors. */

import { type Params, sizeOf, tensor } from '../../src/base/tensor.ts';

export function filled(
  tensors: readonly { readonly name: string; readonly shape: readonly number[] }[],
  valueAt: (i: number) => number,
): Params {
  let at = 0;
  return new Map(
    tensors.map(({ name, shape }) => [
      name,
      tensor(
        'float32',
        shape,
        Float32Array.from({ length: sizeOf(shape) }, () => valueAt(at++)),
      ),
    ]),
  );
}
