/** Mistakes in the sums. */

import type { Params } from '../../src/base/tensor.ts';
import { addScaled, decodeParams, encodeParams } from '../../src/federation/params.ts';
import type { Plant } from '../plant.ts';

export const workPlants: Readonly<Record<string, Plant>> = {
  'sum-skips-member': {
    what: 'the last of three or more members is left out of the sum',
    works: (works) => ({
      ...works,
      aggregate: (work, ...rest) =>
        works.aggregate(
          work.members.length < 3 ? work : { ...work, members: work.members.slice(0, -1) },
          ...rest,
        ),
    }),
  },

  'sum-in-floats': {
    what: 'updates are added as float32, where the order matters',
    works: (works, blobs) => ({
      ...works,
      async aggregate(work, plan, ...rest) {
        const isPlain = plan.secureAggregation === undefined && plan.privacy === undefined;
        if (!isPlain) return works.aggregate(work, plan, ...rest);
        const params = decodeParams(await blobs.get(work.params));
        let sum: Params | undefined;
        for (const { update, aggregationWeight } of work.members.toReversed()) {
          const scaled = decodeParams(await blobs.get(update));
          const zero = new Map(
            [...scaled].map(([name, value]) => [
              name,
              { ...value, data: new Float32Array(value.data.length) },
            ]),
          );
          sum = addScaled(sum ?? zero, scaled, aggregationWeight);
        }
        const total = work.members.reduce(
          (all, { aggregationWeight, freshWeight }) => all + (freshWeight ?? aggregationWeight),
          0,
        );
        const next = addScaled(params, sum!, plan.serverLearningRate / total);
        const exact = await works.aggregate(work, plan);
        return { ...exact, params: await blobs.put(encodeParams(next)) };
      },
    }),
  },
};
