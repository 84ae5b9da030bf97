/** Root-mean-square normalisation (Zhang & Sennrich 2019, arXiv:1910.07467) with a learnt scale. */

import type { Value } from '../../graph/ir.ts';
import { add, rmsNorm as rmsNormOp } from '../../graph/ops/index.ts';
import type { Sites, StartOfVector } from '../../graph/sites.ts';

/** y = x / √(mean(x²) + ε) · weight over the last axis; weight = `<module>.weight`. */
export function rmsNorm(sites: Sites, x: Value, module: string, epsilon: number): Value {
  return rmsNormOp(x, weightOf(sites, x, module), epsilon);
}

/** y = x / √(mean(x²) + ε) · (1 + weight): the stored scale is centred at zero (gemma). */
export function zeroCentredRmsNorm(sites: Sites, x: Value, module: string, epsilon: number): Value {
  return rmsNormOp(x, add(weightOf(sites, x, module, 'zero'), x.graph.scalar(1)), epsilon);
}

function weightOf(sites: Sites, x: Value, module: string, start: StartOfVector = 'one'): Value {
  return sites.parameter(`${module}.weight`, [x.shape.at(-1) as number], start);
}
