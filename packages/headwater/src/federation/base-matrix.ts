/** Linear modules of the base model as matrices [E, D], whatever the checkpoint's layout. It knows no methods. */

import { assert } from '../base/errors.ts';
import type { ModelLayout } from '../tuning/kind.ts';
import { Matrix } from './linear-algebra.ts';

/** W of y = x Wᵀ. */
export async function baseMatrix(
  module: string,
  { linears }: Pick<ModelLayout, 'linears'>,
  baseValue: (name: string) => Promise<Float32Array>,
): Promise<Matrix> {
  const linear = linears.find((one) => one.module === module);
  assert(linear !== undefined, `${module} is a linear module`);
  const { inFeatures, outFeatures, stored = 'out-in' } = linear;
  const values = await baseValue(`${module}.weight`);
  return stored === 'out-in'
    ? Matrix.from1DArray(outFeatures, inFeatures, values)
    : Matrix.from1DArray(inFeatures, outFeatures, values).transpose();
}
