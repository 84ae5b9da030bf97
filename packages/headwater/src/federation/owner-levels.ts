/**
 * One number for each owner, by what its machine can do: a rank, a share of blocks, a density. It knows names, no devices.
 */

import { z } from 'zod';
import { rng } from '../base/random.ts';

export interface OwnerLevels {
  readonly default?: number | undefined;
  readonly owners?: Readonly<Record<string, number>> | undefined;
  readonly levels?: readonly number[] | undefined;
  readonly shares?: readonly number[] | undefined;
}

/**
 * `owners` names some; the others have `default`, or one of `levels`, a device profile: drawn by the owner's name alone, so
 * that owners who join later have one too. `shares` says how many of each there are.
 */
export function ownerLevels(level: z.ZodType<number>) {
  return z
    .strictObject({
      default: level.optional().describe('Of everybody.'),
      owners: z.record(z.string().min(1), level).optional().describe('Of single owners, by name.'),
      levels: z.array(level).min(1).optional().describe('Each owner has one of these, drawn by its name.'),
      shares: z.array(z.number().positive()).optional().describe('How many have each of the levels.'),
    })
    .refine(({ default: one, levels }) => one === undefined || levels === undefined, {
      message: 'give default or levels, not both',
    })
    .refine(({ levels, shares }) => shares === undefined || shares.length === levels?.length, {
      message: 'shares needs one number for each of the levels',
    });
}

/** Undefined: nothing was said about this owner. */
export function levelOf(owner: string, given: OwnerLevels | undefined): number | undefined {
  const { owners, levels } = given ?? {};
  if (owners !== undefined && Object.hasOwn(owners, owner)) return owners[owner];
  if (levels === undefined) return given?.default;
  const shares: readonly number[] = given?.shares ?? levels.map(() => 1);
  let left = rng('owner-rank', owner).uniform() * shares.reduce((a, b) => a + b, 0);
  for (const [i, share] of shares.entries()) {
    left -= share;
    if (left < 0) return levels[i];
  }
  return levels.at(-1);
}
