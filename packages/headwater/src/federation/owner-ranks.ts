/**
 * Ranks that differ by owner: an owner of rank r has the first r rows of A and columns of B. The rest is zero for it, which
 * training does not change (each gradient is a product with the other factor's zero), and is cut on the wire. The scale
 * s = α / R stays that of the recipe for everybody. It knows no aggregation.
 */

import { z } from 'zod';
import { didYouMean } from '../base/suggest.ts';
import type { Params } from '../base/tensor.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import { isResidual } from './base-residual.ts';
import { leadingBlock } from './blocks.ts';
import { loraFactor } from './lora-factors.ts';
import type { ClientContext, Method, RunFacts } from './method.ts';
import { levelOf, ownerLevels } from './owner-levels.ts';

/** Omitted: everybody has the tuning's rank. */
export const ownerRanks = ownerLevels(z.int().positive())
  .optional()
  .describe('Ranks of owners who have less than the tuning’s rank; cut on the wire.');

export interface RankOptions {
  readonly ranks?: z.infer<typeof ownerRanks>;
}

/** Infinity: as the tuning says. */
export function rankOf(owner: string, { ranks }: RankOptions): number {
  return levelOf(owner, ranks) ?? Number.POSITIVE_INFINITY;
}

/** What of a tensor an owner of this rank has. */
export function shapeAtRank({ name, shape }: TrainableTensor, ofOwner: number): readonly number[] {
  const [rows, columns] = shape as [number, number];
  const factor = loraFactor(name);
  if (factor === 'A') return [Math.min(rows, ofOwner), columns];
  return factor === 'B' ? [rows, Math.min(columns, ofOwner)] : shape;
}

/** `wire`, `encodeUp`, `encodeDown` and `receivesAs` of methods whose owners may have different ranks. */
export function rankSlots<O extends RankOptions>(): Required<
  Pick<Method<O>, 'wire' | 'encodeUp' | 'encodeDown' | 'receivesAs'>
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
    receivesAs: (owner, options) => String(rankOf(owner, options)),
  };
}

/** What the options ask for that the tuning or the run has not. */
export function rankMistakes(
  { tensors, ownerNames }: Pick<RunFacts, 'tensors' | 'ownerNames'>,
  { ranks }: RankOptions,
): string[] {
  const widest = Math.max(
    0,
    ...tensors.filter(({ name }) => loraFactor(name) === 'A').map(({ shape }) => shape[0]!),
  );
  const named = Object.keys(ranks?.owners ?? {});
  const asked = [ranks?.default ?? 0, ...Object.values(ranks?.owners ?? {}), ...(ranks?.levels ?? [])];
  const most = Math.max(...asked);
  const unknown = named.filter((name) => ownerNames?.includes(name) === false);
  return [
    ...(widest > 0 && most > widest
      ? [`an owner has rank ${most}, but tuning.rank is ${widest}: the tuning’s rank is the largest`]
      : []),
    ...unknown.map(
      (name) => `federation.method.ranks.owners names "${name}"; ${didYouMean(name, ownerNames ?? [])}`,
    ),
  ];
}
