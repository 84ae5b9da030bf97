/** Params that a run without an adapter starts from: a function of its seed, the same wherever it is computed. */

import { rng } from '../base/random.ts';
import type { Params } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';
import type { BoundMethod, InitialContext } from '../federation/method.ts';
import type { BoundTuning } from '../tuning/kind.ts';
import { publicExamples } from './learner.ts';

export interface FreshParts {
  readonly seed: number;
  readonly tuning: Pick<BoundTuning, 'init'>;
  readonly method: Pick<BoundMethod, 'initialParams'>;
  readonly baseValue: InitialContext['baseValue'];
  readonly encode: NonNullable<Parameters<BoundTuning['init']>[2]>;
  readonly publicExamples: readonly TokenizedExample[];
}

export async function freshParams({
  seed,
  tuning,
  method,
  baseValue,
  encode,
  ...parts
}: FreshParts): Promise<Params> {
  const fresh = await tuning.init(rng(seed, 'init'), baseValue, encode);
  const random = rng(seed, 'init', 'method');
  const shown = publicExamples(parts.publicExamples, seed);
  return method.initialParams(fresh, { random, baseValue, publicExamples: shown });
}
