/**
 * A robust aggregation rule is one record: it takes the place of the weighted mean of a linear method. It sees updates as points
 * with distances, or coordinate by coordinate; it knows no tensors, no owners’ data and no method.
 */

import { z } from 'zod';
import type { Combination, Geometry } from './geometry.ts';

/** The values of one coordinate, in the order of the owners’ names, to one; it may reorder them. */
export type Column = (values: Float64Array) => number;

export interface Cohort {
  readonly geometry: Geometry;
  /** What is aggregated: updates, or what the steps before made of them. In the order of the owners’ names. */
  readonly points: readonly Combination[];
  /** Aggregation weights over their sum; all equal unless the rule honours others. */
  readonly shares: readonly number[];
  /** f: how many of the points may be anything. */
  readonly byzantine: number;
  /** The aggregate of the round before; zero in the first. For rules that keep it. */
  readonly previous: Combination;
  /** Sums of each owner’s updates so far, this round’s in them. For rules that keep them. */
  readonly sums: readonly Combination[];
  /** What the server itself learnt in the round on its own examples. For rules that ask for it. */
  readonly reference: Combination | undefined;
}

export type Verdict =
  | { readonly kind: 'point'; readonly point: Combination }
  /** Every coordinate by itself, over these points. */
  | { readonly kind: 'columns'; readonly points: readonly Combination[]; readonly column: Column };

export interface RobustRule<O> {
  readonly id: string;
  readonly summary: string;
  readonly source: string;
  readonly options: z.ZodType<O>;
  /** Fewest points that it can do with f bad ones among; undefined: it does not count on any number. */
  fewest?(byzantine: number): number;
  /** As `fewest` writes it, for people: `2f + 3`. */
  readonly fewestText?: string;
  /** Whether updates may count by different weights. Default: all count the same. */
  readonly weighted?: true;
  /** It looks at no distances: a round needs not be in memory as a whole, and products of factors mean nothing to it. */
  readonly columnwise?: true;
  /** It needs coordinates beside distances. */
  readonly coordinates?: true;
  /** What the server keeps for it from round to round. */
  readonly keeps?: 'aggregate' | 'sums';
  readonly asksReference?: true;
  combine(cohort: Cohort, options: O): Verdict;
}

/** Options that every rule has. `byzantine`: for rules that count on a number. */
export const byzantine = z
  .int()
  .nonnegative()
  .describe('f: how many updates of a round may be anything; the rule holds as long as there are no more.');

/** For rules that count on no number. */
export const byzantineOrNone = z
  .int()
  .nonnegative()
  .default(0)
  .describe(
    'f: how many updates of a round may be anything, for the steps before and for the check of the quorum.',
  );

export const steps = z
  .array(z.looseObject({ kind: z.string() }))
  .default([])
  .describe('What is done with the updates before the rule, in this order.');

export const space = z
  .enum(['auto', 'elements', 'products'])
  .default('auto')
  .describe(
    'Where distances are measured. products: of the products B A, which scaling A and B against each other does not change. elements: of the tensors as they travel. auto: products where both factors of LoRA travel.',
  );

/** A rule with its options inside. */
export interface BoundRule extends Omit<RobustRule<unknown>, 'options' | 'combine'> {
  readonly byzantine: number;
  readonly space: z.infer<typeof space>;
  readonly steps: readonly BoundStep[];
  /** Of what is drawn. */
  readonly seed: number;
  combine(cohort: Cohort): Verdict;
}

/** A step before the rule: points to points. */
export interface PreAggregation<O> {
  readonly id: string;
  readonly summary: string;
  readonly source: string;
  readonly options: z.ZodType<O>;
  /** It is nothing, or harm, where nobody is bad. */
  readonly needsByzantine?: true;
  /** How many points come out. Default: as many. */
  count?(points: number, options: O): number;
  apply(cohort: StepInput, options: O): readonly Combination[];
}

export interface StepInput extends Pick<Cohort, 'geometry' | 'points' | 'byzantine'> {
  /** [0, n) in a seeded order. */
  readonly drawn: readonly number[];
}

export interface BoundStep {
  readonly id: string;
  readonly needsByzantine: boolean;
  count(points: number): number;
  apply(cohort: StepInput): readonly Combination[];
}

export function bindStep<O>(step: PreAggregation<O>, options: O): BoundStep {
  return {
    id: step.id,
    needsByzantine: step.needsByzantine === true,
    count: (points) => step.count?.(points, options) ?? points,
    apply: (cohort) => step.apply(cohort, options),
  };
}

/** `options` were parsed by `rule.options`. */
export function bindRule<O>(
  rule: RobustRule<O>,
  options: O,
  parts: Pick<BoundRule, 'steps' | 'seed'>,
): BoundRule {
  const { options: _, ...facts } = rule;
  const common = options as { readonly byzantine?: number; readonly space?: BoundRule['space'] };
  return {
    ...facts,
    ...parts,
    byzantine: common.byzantine ?? 0,
    space: common.space ?? 'auto',
    combine: (cohort) => rule.combine(cohort, options),
  };
}
