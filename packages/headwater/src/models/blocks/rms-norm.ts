/** Root-mean-square normalisation (Zhang & Sennrich 2019, arXiv:1910.07467) with a learnt scale. */

import type { Value } from '../../graph/ir.ts';
import { rmsNorm as rmsNormOp } from '../../graph/ops/index.ts';
import type { Sites } from '../../graph/sites.ts';

/** y = x / √(mean(x²) + ε) · weight over the last axis; weight = `<module>.weight`. */
export function rmsNorm(sites: Sites, x: Value, module: string, epsilon: number): Value {
  const width = x.shape.at(-1) as number;
  return rmsNormOp(x, sites.parameter(`${module}.weight`, [width]), epsilon);
}
