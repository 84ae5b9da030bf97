/** Teacher-forced −log p of every target of each example, in order: what figures over tokens need, such as Min-K%. */

import type { Params } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';
import type { Runner } from './runner.ts';
import { batchesBehind } from './virtual-tokens.ts';

export async function tokenLosses(
  runner: Pick<Runner, 'virtual' | 'score'>,
  params: Params,
  examples: readonly TokenizedExample[],
  options: { readonly batchSize: number; readonly maxLength: number },
): Promise<number[][]> {
  const losses: number[][] = examples.map(() => []);
  for (const batch of batchesBehind(runner.virtual, examples, { ...options, order: 'length' })) {
    const { nll } = await runner.score(params, batch);
    for (const [slot, mask] of batch.targetMask.entries())
      if (mask !== 0) losses[batch.targetExample[slot]!]!.push(nll[slot]!);
  }
  return losses;
}
