/** A method whose mean a robust rule takes the place of. Everything else stays the method’s: what travels, its server’s step. */

import { sizeOf } from '../../base/tensor.ts';
import type { BoundMethod, WeightedUpdate } from '../method.ts';
import { aggregateRobustly } from './aggregate-robustly.ts';
import { ruleMistakes } from './needs.ts';
import type { BoundRule } from './rule.ts';

export function withRobustRule(method: BoundMethod, rule: BoundRule): BoundMethod {
  const { figures } = method;
  return {
    ...method,
    rule,
    preconditions: (facts) => [...method.preconditions(facts), ...ruleMistakes(method, rule, facts)],
    secureAggregation: { noBecause: `federation.robust: ${rule.id} looks at single updates` },
    combine: (updates, context) => aggregateRobustly(rule, updates, context).aggregate,
    figures:
      figures === undefined
        ? undefined
        : (updates, round) => (elementsOf(updates) > FIGURES_ELEMENTS ? {} : figures(updates, round)),
  };
}

/** A mean’s figures are for cohorts of which they take a second or two. */
const FIGURES_ELEMENTS = 2 ** 23;

function elementsOf(updates: readonly WeightedUpdate[]): number {
  const sizes = updates.map(({ update }) => [...update.values()].map(({ shape }) => sizeOf(shape)));
  return sizes.flat().reduce((sum, size) => sum + size, 0);
}
