/**
 * One round's aggregation: a pure function of the frozen membership. Linear methods see one update at a time, others the
 * whole cohort in canonical order. It knows no files: params come through `load`.
 */

import type { Params } from '../base/tensor.ts';
import { type AggregationReport, addUpdate, emptySum, type FixedPointPlan, meanOf } from './fixed-point.ts';
import type { BoundMethod } from './method.ts';
import { l2Norm } from './params.ts';

export interface RoundInput {
  readonly round: number;
  readonly params: Params;
  readonly serverState: Params | undefined;
  /** Sorted by owner. */
  readonly members: readonly {
    readonly owner: string;
    readonly update: string;
    readonly aggregationWeight: number;
  }[];
  readonly serverLearningRate: number;
}

export interface RoundOutput {
  readonly params: Params;
  readonly serverState: Params | undefined;
  readonly report: AggregationReport;
  /** ‖aggregate‖₂ before the server step. */
  readonly aggregateNorm: number;
}

export async function aggregateRound(
  method: BoundMethod,
  plan: FixedPointPlan,
  input: RoundInput,
  load: (update: string) => Promise<Params>,
): Promise<RoundOutput> {
  const { aggregate, report } =
    method.combine === undefined
      ? await weightedMean(plan, input, load)
      : await combined(method.combine, input, load);
  const { round, params, serverState: state, serverLearningRate } = input;
  const next = method.serverStep({ round, params, aggregate, state, serverLearningRate });
  return { params: next.params, serverState: next.state, report, aggregateNorm: l2Norm(aggregate) };
}

interface Aggregated {
  readonly aggregate: Params;
  readonly report: AggregationReport;
}

async function weightedMean(
  plan: FixedPointPlan,
  { members }: RoundInput,
  load: (update: string) => Promise<Params>,
): Promise<Aggregated> {
  const sum = emptySum();
  for (const { update, aggregationWeight } of members)
    addUpdate(plan, sum, await load(update), aggregationWeight);
  const { mean, report } = meanOf(plan, sum);
  return { aggregate: mean, report };
}

async function combined(
  combine: NonNullable<BoundMethod['combine']>,
  { members }: RoundInput,
  load: (update: string) => Promise<Params>,
): Promise<Aggregated> {
  const updates = await Promise.all(
    members.map(async ({ owner, update, aggregationWeight }) => ({
      owner,
      aggregationWeight,
      update: await load(update),
    })),
  );
  const aggregate = combine(updates);
  const totalWeight = members.reduce((sum, { aggregationWeight }) => sum + aggregationWeight, 0);
  const report = {
    totalWeight,
    numUpdates: members.length,
    clamped: 0,
    coordinates: 0,
    quantisationErrorBound: 0,
  };
  return { aggregate, report };
}
