/**
 * FoolsGold: owners whose sums of updates point the same way share one voice. Fung et al., RAID 2020, arXiv:1808.04866. With c_ij
 * the cosines of the sums and v_i = max_j c_ij: c_ij ← c_ij v_i / v_j where v_i < v_j; w_i = 1 − max_j c_ij, scaled to a largest of
 * 1, through logit(w) + ½, clipped to [0, 1]. Against identical clients; honest owners that are alike suffer.
 */

import { z } from 'zod';
import { type Combination, cosine, type Geometry, mixed } from './geometry.ts';
import type { RobustRule } from './rule.ts';

const options = z.strictObject({});

export const foolsGold: RobustRule<z.infer<typeof options>> = {
  id: 'foolsgold',
  summary: 'owners that always send the same direction share one voice',
  source: 'Fung et al., RAID 2020, arXiv:1808.04866',
  options,
  keeps: 'sums',
  combine({ geometry, points, sums }) {
    const weights = voices(geometry, sums);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    // Nobody to listen to: nothing changes.
    const parts = weights.map((weight) => (total === 0 ? 0 : weight / total));
    return { kind: 'point', point: mixed(geometry, points, parts) };
  },
};

/** In [0, 1], one for each owner. */
export function voices(geometry: Geometry, sums: readonly Combination[]): number[] {
  const cosines = sums.map((a, i) => sums.map((b, j) => (i === j ? 0 : cosine(geometry, a, b))));
  const closest = cosines.map((row) => Math.max(...row));
  const pardoned = cosines.map((row, i) =>
    row.map((value, j) => (closest[i]! < closest[j]! ? (value * closest[i]!) / closest[j]! : value)),
  );
  const raw = pardoned.map((row) => clamp(1 - Math.max(...row)));
  const largest = Math.max(...raw);
  if (largest === 0) return raw;
  return raw.map((weight) => {
    const share = Math.min(weight / largest, 0.99);
    return share === 0 ? 0 : clamp(Math.log(share / (1 - share)) + 0.5);
  });
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}
