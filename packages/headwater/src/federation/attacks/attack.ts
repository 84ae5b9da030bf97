/**
 * A simulated attack is one record: what adversaries do to their examples, or to what they send. For simulations only; it knows
 * no defence and no method.
 */

import { z } from 'zod';
import type { Rng } from '../../base/random.ts';
import type { Example } from '../../data/types.ts';

/** An update as one vector, its tensors one after the other. */
export type Vector = Float64Array;

/** What an adversary knows when it sends. Adversaries act together: they know each other’s number. */
export interface AttackView {
  /** What it would have sent; empty where the attack trains nothing. */
  readonly own: Vector;
  /** The updates of all honest owners of the round, in the order of their names; empty where the attack is not told. */
  readonly honest: readonly Vector[];
  /** What the round before changed in the params, in the tensors of an update; undefined where nothing has moved yet. */
  readonly moved: Vector | undefined;
  readonly round: number;
  /** Elements of an update. */
  readonly size: number;
  /** n, of the round: honest ones and adversaries. */
  readonly numUpdates: number;
  /** f, of the round. */
  readonly numAdversaries: number;
  readonly random: Rng;
}

export interface Poisoning {
  /** Training examples of all owners: adversaries know what may be answered. */
  readonly all: readonly Example[];
  readonly random: Rng;
}

/**
 * `own`: it trains like everybody, and sends something else. `honest`: it trains nothing and sees what honest owners send.
 * `before`: it trains nothing and sees the params alone, and those of the round before.
 */
export type Sight = 'own' | 'honest' | 'before';

export interface Attack<O> {
  readonly id: string;
  readonly summary: string;
  readonly source: string;
  readonly options: z.ZodType<O>;
  /** An adversary’s examples as it trains on them. Default: as they are. */
  poison?(examples: readonly Example[], context: Poisoning, options: O): readonly Example[];
  /** What it sends. Default: what it learnt. */
  craft?(view: AttackView, options: O): Vector;
  /** What it makes of an option; see `Sight`. */
  readonly sees?: Sight | ((options: O) => Sight);
  /** Round from which it does what it does; before, everybody is honest. Default: the first. Not for what it poisons. */
  from?(options: O): number;
  /** Its updates never count. */
  readonly refused?: true;
  /** All adversaries of a round craft the same. Each then changes it a little: whoever sends a copy is put aside. */
  readonly alike?: true;
}

/** Who takes part in the attack: an option of every one. */
export const attackers = z
  .union([z.int().positive(), z.array(z.string()).min(1)])
  .describe('So many owners, drawn by the seed, or these, by name.');

export interface BoundAttack extends Pick<Attack<unknown>, 'id' | 'refused' | 'alike'> {
  readonly sees?: Sight;
  readonly from: number;
  readonly owners: z.infer<typeof attackers>;
  readonly poison: ((examples: readonly Example[], context: Poisoning) => readonly Example[]) | undefined;
  readonly craft: ((view: AttackView) => Vector) | undefined;
}

/** `options` were parsed by `attack.options`. */
export function bindAttack<O>(attack: Attack<O>, options: O): BoundAttack {
  const { id, refused, alike, poison, craft } = attack;
  const sees = typeof attack.sees === 'function' ? attack.sees(options) : attack.sees;
  return {
    id,
    from: attack.from?.(options) ?? 1,
    ...(sees === undefined ? {} : { sees }),
    ...(refused === undefined ? {} : { refused }),
    ...(alike === undefined ? {} : { alike }),
    owners: (options as { readonly owners: z.infer<typeof attackers> }).owners,
    poison:
      poison === undefined
        ? undefined
        : (examples, context) => poison.call(attack, examples, context, options),
    craft: craft === undefined ? undefined : (view) => craft.call(attack, view, options),
  };
}
