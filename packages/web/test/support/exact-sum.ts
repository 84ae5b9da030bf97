/** The rounds of a run computed again from its stored uploads, with integers of any size: nothing of the coordinator's code. */

import type { Params } from '../../../headwater/src/base/tensor.ts';
import type { RunState } from '../../../headwater/src/federation/state.ts';

/** θ + Σ w·q / (W·2^f) over the updates of each round; server learning rate 1. */
export function exactSum({ plan, roster, closed }: RunState, read: (digest: string) => Params): Params {
  const { tensors } = plan.fixedPoint;
  const weightOf = (owner: string) => BigInt(roster[owner]!.aggregationWeight);
  let params = read(plan.initialParams);
  for (const { members } of closed) {
    const updates = Object.entries(members).map(
      ([owner, digest]) => [weightOf(owner), read(digest)] as const,
    );
    const total = updates.reduce((sum, [weight]) => sum + weight, 0n);
    params = new Map(
      [...params].map(([name, tensor]) => {
        const { fractionBits, range } = tensors.find((scale) => scale.name === name)!;
        const values = updates.map(([weight, update]) => [weight, update.get(name)!.data] as const);
        const data = tensor.data.map((before, i) => {
          const sum = values.reduce((partial, [weight, update]) => {
            const clamped = Math.min(range, Math.max(-range, update[i]!));
            return partial + weight * BigInt(halfEven(clamped * 2 ** fractionBits));
          }, 0n);
          return before + Math.fround((Number(sum) / Number(total)) * 2 ** -fractionBits);
        });
        return [name, { ...tensor, data }];
      }),
    );
  }
  return params;
}

function halfEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}
