/**
 * MDA: the mean of those n − f updates that are closest together, looking at every choice of them. El Mhamdi et al. 2018/2021
 * ("minimum-diameter averaging"; Rousseeuw 1985). For few updates only: there are n over f choices.
 */

import { z } from 'zod';
import { meanOf, squaredDistances } from './geometry.ts';
import type { RobustRule } from './rule.ts';
import { byzantine, space, steps } from './rule.ts';

const options = z.strictObject({ byzantine, preAggregation: steps, space });

export const minimumDiameter: RobustRule<z.infer<typeof options>> = {
  id: 'minimum-diameter',
  summary: 'the mean of those n − f updates whose largest distance is smallest',
  source: 'El Mhamdi et al. 2021, arXiv:2008.00742; Rousseeuw 1985',
  options,
  fewest: (f) => 2 * f + 1,
  fewestText: '2f + 1',
  combine({ geometry, points, byzantine: f }) {
    const chosen = closestTogether(squaredDistances(geometry, points), points.length - f);
    return {
      kind: 'point',
      point: meanOf(
        geometry,
        chosen.map((i) => points[i]!),
      ),
    };
  },
};

/** Of equals the first in the order of positions. Branches that are wide already are not followed. */
function closestTogether(squares: readonly (readonly number[])[], size: number): readonly number[] {
  let best: readonly number[] = [];
  let narrowest = Number.POSITIVE_INFINITY;
  const follow = (chosen: readonly number[], next: number, diameter: number): void => {
    if (diameter >= narrowest) return;
    if (chosen.length === size) {
      best = chosen;
      narrowest = diameter;
      return;
    }
    for (let i = next; i <= squares.length - (size - chosen.length); i++)
      follow([...chosen, i], i + 1, Math.max(diameter, ...chosen.map((j) => squares[i]![j]!)));
  };
  follow([], 0, 0);
  return best;
}
