/** The order in which examples are seen: epochs, each shuffled from the seed, without gaps between them. Pure. */

import { rng, type SeedPart, shuffled } from '../base/random.ts';

export interface ExampleStream {
  /** The next `count` positions of the caller's list. */
  take(count: number): number[];
}

/** Steps may span two epochs; a step larger than the data set is one whole epoch. */
export function exampleStream(numExamples: number, seedPath: readonly SeedPart[]): ExampleStream {
  const all = Array.from({ length: numExamples }, (_, i) => i);
  let epoch = 0;
  let queue: number[] = [];
  const nextEpoch = () => shuffled(all, rng(...seedPath, 'shuffle', epoch++));
  return {
    take(count) {
      const wanted = Math.min(count, numExamples);
      while (queue.length < wanted) queue = [...queue, ...nextEpoch()];
      const taken = queue.slice(0, wanted);
      queue = queue.slice(wanted);
      return taken;
    },
  };
}
