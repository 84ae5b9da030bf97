/**
 * Bucketing: updates in a seeded order, averaged in groups of s. Karimireddy et al., ICLR 2022, arXiv:2006.09365. The rule then
 * has to bear f bad ones among ⌈n / s⌉.
 */

import { z } from 'zod';
import { meanOf } from '../geometry.ts';
import type { PreAggregation } from '../rule.ts';

const options = z.strictObject({ size: z.int().min(2).default(2).describe('s: updates in a group.') });

export const bucketing: PreAggregation<z.infer<typeof options>> = {
  id: 'bucketing',
  summary: 'means of random groups take the updates’ place',
  source: 'Karimireddy et al., ICLR 2022, arXiv:2006.09365',
  options,
  count: (points, { size }) => Math.ceil(points / size),
  apply({ geometry, points, drawn }, { size }) {
    const count = Math.ceil(points.length / size);
    return Array.from({ length: count }, (_, bucket) => {
      const group = drawn.slice(bucket * size, (bucket + 1) * size);
      return meanOf(
        geometry,
        group.map((i) => points[i]!),
      );
    });
  },
};
