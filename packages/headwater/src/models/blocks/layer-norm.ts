/** Layer normalisation (Ba et al. 2016, arXiv:1607.06450) with a learnt scale and shift. */

import type { Value } from '../../graph/ir.ts';
import { layerNorm as layerNormOp } from '../../graph/ops/index.ts';
import type { Sites } from '../../graph/sites.ts';

/** y = (x − mean) / √(var + ε) · weight + bias over the last axis, with `<module>.weight` and `<module>.bias`. */
export function layerNorm(sites: Sites, x: Value, module: string, epsilon: number): Value {
  const width = [x.shape.at(-1) as number];
  const weight = sites.parameter(`${module}.weight`, width);
  return layerNormOp(x, weight, sites.parameter(`${module}.bias`, width), epsilon);
}
