/**
 * Nearest-neighbour mixing: each update becomes the mean of its n − f nearest, itself among them. Allouah et al., AISTATS 2023,
 * arXiv:2302.01772. It makes rules for alike updates good for unlike ones.
 */

import { z } from 'zod';
import { ascending, meanOf, squaredDistances } from '../geometry.ts';
import type { PreAggregation } from '../rule.ts';

const options = z.strictObject({});

export const nnm: PreAggregation<z.infer<typeof options>> = {
  id: 'nnm',
  summary: 'each update becomes the mean of its n − f nearest',
  source: 'Allouah et al., AISTATS 2023, arXiv:2302.01772',
  options,
  needsByzantine: true,
  apply({ geometry, points, byzantine }) {
    const squares = squaredDistances(geometry, points);
    return squares.map((row) => {
      const nearest = ascending(row).slice(0, points.length - byzantine);
      return meanOf(
        geometry,
        nearest.map((i) => points[i]!),
      );
    });
  },
};
