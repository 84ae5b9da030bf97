/** What robust rules keep from round to round, as tensors beside a method’s own state. It knows no rule and no method. */

import { digestJson } from '../../base/canonical.ts';
import { type Params, type Tensor, tensor } from '../../base/tensor.ts';
import type { WeightedUpdate } from '../method.ts';
import { sortedParams, underPrefix, withoutPrefix } from '../params.ts';

const PREFIX = 'robust.';

/** Of what a server keeps: the method’s own, and the rule’s. */
export function splitState(state: Params | undefined): {
  readonly own: Params | undefined;
  readonly rule: Params | undefined;
} {
  const rule = withoutPrefix(PREFIX, state ?? new Map());
  const own = new Map([...(state ?? [])].filter(([name]) => !name.startsWith(PREFIX)));
  return { own: own.size === 0 ? undefined : own, rule: rule.size === 0 ? undefined : rule };
}

/** The reverse of `splitState`. */
export function joinedState(own: Params | undefined, rule: Params | undefined): Params | undefined {
  if (rule === undefined) return own;
  return sortedParams([...(own ?? []), ...underPrefix(PREFIX, rule)]);
}

/**
 * The sums of all owners’ updates so far, this round’s in them: one vector an owner, its tensors one after the other. Owners that
 * were not asked keep theirs.
 */
export function flatSums(updates: readonly WeightedUpdate[], before: Params | undefined): Params {
  const sums = new Map<string, Tensor<'float32'>>(before ?? []);
  for (const { owner, update } of updates) {
    const flat = flattened(update);
    const old = sums.get(nameOf(owner))?.data;
    if (old !== undefined) for (let i = 0; i < flat.length; i++) flat[i]! += old[i]!;
    sums.set(nameOf(owner), tensor('float32', [flat.length], flat));
  }
  return sortedParams(sums);
}

/** One of them in the shape of the owner’s update. */
export function flatSum(sums: Params, { owner, update }: WeightedUpdate): Params {
  const { data } = sums.get(nameOf(owner))!;
  let at = 0;
  return new Map(
    [...update].map(
      ([
        name,
        {
          shape,
          data: { length },
        },
      ]) => {
        const part = data.slice(at, at + length);
        at += length;
        return [name, tensor('float32', shape, part)];
      },
    ),
  );
}

function flattened(update: Params): Float32Array {
  const size = [...update.values()].reduce((sum, { data }) => sum + data.length, 0);
  const flat = new Float32Array(size);
  let at = 0;
  for (const { data } of update.values()) {
    flat.set(data, at);
    at += data.length;
  }
  return flat;
}

/** Owners may be called anything, tensors may not. */
function nameOf(owner: string): string {
  return `sum.${digestJson(owner)}`;
}
