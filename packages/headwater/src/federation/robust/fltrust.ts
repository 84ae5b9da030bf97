/**
 * FLTrust: each update counts by how far it points where the server’s own update g₀ points, TS_i = max(0, cos(x_i, g₀)), at the
 * length of that: Σ TS_i (‖g₀‖ / ‖x_i‖) x_i / Σ TS. Cao et al., NDSS 2021, arXiv:2012.13995. Where nobody is trusted nothing changes.
 */

import { z } from 'zod';
import { assert } from '../../base/errors.ts';
import { cosine, mixed, normOf } from './geometry.ts';
import type { RobustRule } from './rule.ts';
import { space } from './rule.ts';

const options = z.strictObject({ space });

export const fltrust: RobustRule<z.infer<typeof options>> = {
  id: 'fltrust',
  summary: 'updates count by how much they agree with one that the server learns on data.public',
  source: 'Cao et al., NDSS 2021, arXiv:2012.13995',
  options,
  asksReference: true,
  combine({ geometry, points, reference }) {
    assert(reference !== undefined, 'the server has an update of its own');
    const trust = points.map((point) => Math.max(0, cosine(geometry, point, reference)));
    const total = trust.reduce((sum, value) => sum + value, 0);
    const length = normOf(geometry, reference);
    const weights = points.map((point, i) =>
      trust[i] === 0 ? 0 : (trust[i]! * length) / (normOf(geometry, point) * total),
    );
    return { kind: 'point', point: mixed(geometry, points, weights) };
  },
};
