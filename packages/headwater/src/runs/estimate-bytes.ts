/**
 * Bytes of a run's rounds, of the very owners that its seed will ask: methods may send each of them something else, and
 * something else in each round. Pure.
 */

import { cohortRandom, drawUniformly } from '../federation/cohort.ts';
import type { BoundCompression } from '../federation/compression/compression.ts';
import { encodedUpdateBytes } from '../federation/compression/encode.ts';
import type { BoundMethod } from '../federation/method.ts';
import { sentDownBytes } from '../federation/sent-down.ts';
import type { TrainableTensor } from '../tuning/kind.ts';

export interface BytesInput {
  readonly seed: number;
  readonly method: BoundMethod;
  readonly compression: BoundCompression;
  readonly tensors: readonly TrainableTensor[];
  readonly numOwners: number;
  /** Sorted; undefined where nobody knows them: then any names stand for them. */
  readonly ownerNames?: readonly string[] | undefined;
  /** Owners asked in a round. */
  readonly asked: number;
  readonly rounds: number;
}

/** Of all asked owners together. */
export interface RoundBytes {
  readonly up: number;
  readonly down: number;
}

/** Beyond so many single owners some stand for the others. */
const MAX_COUNTED = 20_000;

/** Gives the bytes of a round (from 1). */
export function roundBytes(input: BytesInput): (round: number) => RoundBytes {
  const { seed, numOwners, asked, rounds } = input;
  const names = input.ownerNames ?? Array.from({ length: numOwners }, (_, i) => `owner-${i + 1}`).sort();
  const looked = Math.min(asked, Math.max(1, Math.floor(MAX_COUNTED / rounds)));
  const sizes = sizesOf(input);
  return (round) => {
    const cohort = drawUniformly(names, () => true, asked, cohortRandom(seed, round)).slice(0, looked);
    const sum = (of: (owner: string) => number) => {
      const total = cohort.reduce((bytes, owner) => bytes + of(owner), 0);
      return looked === asked ? total : Math.round((total * asked) / looked);
    };
    return { up: sum((owner) => sizes.up(round, owner)), down: sum((owner) => sizes.down(round, owner)) };
  };
}

function sizesOf({ seed, method, compression, tensors }: BytesInput) {
  const known = new Map<string, number>();
  const once = (key: string, bytes: () => number) => {
    const found = known.get(key) ?? bytes();
    known.set(key, found);
    return found;
  };
  return {
    up: (round: number, owner: string) =>
      once(`up ${round} ${method.wirePerOwner ? owner : ''}`, () =>
        encodedUpdateBytes(compression, method.wire(tensors, round, owner)),
      ),
    down: (round: number, owner: string) =>
      once(`down ${round} ${method.receivesAs(owner)}`, () =>
        sentDownBytes({ method, tensors }, { seed, round, owner }),
      ),
  };
}
