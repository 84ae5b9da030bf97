/**
 * Adaptive robust clipping: the ⌊2 (f / n) (n − f)⌋ longest updates are scaled down to the length of the next one. Allouah et al.,
 * ICLR 2025, arXiv:2405.14432.
 */

import { z } from 'zod';
import { ascending, normOf, shrunk } from '../geometry.ts';
import type { PreAggregation } from '../rule.ts';

const options = z.strictObject({});

export const arc: PreAggregation<z.infer<typeof options>> = {
  id: 'arc',
  summary: 'the longest updates are scaled down to the length of the next one',
  source: 'Allouah et al., ICLR 2025, arXiv:2405.14432',
  options,
  needsByzantine: true,
  apply({ geometry, points, byzantine: f }) {
    const norms = points.map((point) => normOf(geometry, point));
    const n = points.length;
    const longest = Math.floor(2 * (f / n) * (n - f));
    const limit = norms[ascending(norms)[n - 1 - longest]!]!;
    return points.map((point, i) => (norms[i]! > limit ? shrunk(geometry, point, limit / norms[i]!) : point));
  },
};
