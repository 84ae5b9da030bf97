/** The residual of gemma 2 and 3: a norm before and a norm after the part, both zero-centred. */

import type { Value } from '../../graph/ir.ts';
import { add } from '../../graph/ops/index.ts';
import type { Sites } from '../../graph/sites.ts';
import { zeroCentredRmsNorm } from './rms-norm.ts';

/** x + after(part(before(x))). */
export function sandwiched(
  sites: Sites,
  x: Value,
  norms: { readonly before: string; readonly after: string; readonly epsilon: number },
  part: (x: Value) => Value,
): Value {
  const entering = zeroCentredRmsNorm(sites, x, norms.before, norms.epsilon);
  return add(x, zeroCentredRmsNorm(sites, part(entering), norms.after, norms.epsilon));
}
