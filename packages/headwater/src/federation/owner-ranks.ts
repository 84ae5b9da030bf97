/**
 * Ranks that differ by owner: an owner of rank r has the first r rows of A and columns of B. The rest is zero for it, which
 * training does not change (each gradient is a product with the other factor's zero), and is cut on the wire. The scale
 * s = α / R stays that of the recipe for everybody. It knows no aggregation.
 */

import { z } from 'zod';
import { rng } from '../base/random.ts';
import type { Params } from '../base/tensor.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import { isResidual } from './base-residual.ts';
import { leadingBlock } from './blocks.ts';
import { loraFactor } from './lora-factors.ts';
import type { ClientContext, Method, RunFacts } from './method.ts';

const rank = z.int().positive();

/**
 * Omitted: everybody has the tuning's rank. `levels` is a device profile: each owner has one of them, drawn by its name
 * alone, so that owners who join later have one too; `shares` says how many of each there are.
 */
export const ownerRanks = z
  .strictObject({
    default: rank.optional(),
    owners: z.record(z.string().min(1), rank).optional(),
    levels: z.array(rank).min(1).optional(),
    shares: z.array(z.number().positive()).optional(),
  })
  .refine(({ default: one, levels }) => one === undefined || levels === undefined, {
    message: 'give default or levels, not both',
  })
  .refine(({ levels, shares }) => shares === undefined || shares.length === levels?.length, {
    message: 'shares needs one number for each of the levels',
  })
  .optional();

export interface RankOptions {
  readonly ranks?: z.infer<typeof ownerRanks>;
}

/** Infinity: as the tuning says. */
export function rankOf(owner: string, { ranks }: RankOptions): number {
  const own = ranks?.owners;
  if (own !== undefined && Object.hasOwn(own, owner)) return own[owner]!;
  const levels = ranks?.levels;
  if (levels === undefined) return ranks?.default ?? Number.POSITIVE_INFINITY;
  const shares = ranks?.shares ?? levels.map(() => 1);
  let left = rng('owner-rank', owner).uniform() * shares.reduce((a, b) => a + b, 0);
  for (const [i, share] of shares.entries()) {
    left -= share;
    if (left < 0) return levels[i]!;
  }
  return levels.at(-1)!;
}

/** What of a tensor an owner of this rank has. */
export function shapeAtRank({ name, shape }: TrainableTensor, ofOwner: number): readonly number[] {
  const [rows, columns] = shape as [number, number];
  const factor = loraFactor(name);
  if (factor === 'A') return [Math.min(rows, ofOwner), columns];
  return factor === 'B' ? [rows, Math.min(columns, ofOwner)] : shape;
}

/** `wire`, `encodeUp` and `encodeDown` of methods whose owners may have different ranks. */
export function rankSlots<O extends RankOptions>(): Required<
  Pick<Method<O>, 'wire' | 'encodeUp' | 'encodeDown'>
> {
  const cut = (params: Params, { owner }: ClientContext, options: O): Params => {
    const ofOwner = rankOf(owner, options);
    return new Map(
      [...params].map(([name, value]) => [
        name,
        leadingBlock(value, shapeAtRank({ name, shape: value.shape }, ofOwner)),
      ]),
    );
  };
  return {
    wire(tensors, _round, owner, options) {
      const ofOwner = rankOf(owner, options);
      const travelling = tensors.filter(({ name }) => !isResidual(name));
      return travelling.map((own) => ({ name: own.name, shape: shapeAtRank(own, ofOwner) }));
    },
    encodeUp: cut,
    encodeDown: cut,
  };
}

/** What the options ask for that the tuning has not. */
export function rankMistakes({ tensors }: Pick<RunFacts, 'tensors'>, { ranks }: RankOptions): string[] {
  const widest = Math.max(
    0,
    ...tensors.filter(({ name }) => loraFactor(name) === 'A').map(({ shape }) => shape[0]!),
  );
  const asked = [ranks?.default ?? 0, ...Object.values(ranks?.owners ?? {}), ...(ranks?.levels ?? [])];
  const most = Math.max(...asked);
  if (widest === 0 || most <= widest) return [];
  return [`an owner has rank ${most}, but tuning.rank is ${widest}: the tuning’s rank is the largest`];
}
