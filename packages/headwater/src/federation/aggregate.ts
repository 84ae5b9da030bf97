/**
 * One round's aggregation in memory: a pure function of the frozen membership. Linear methods see one update at a time,
 * others the whole cohort in canonical order. It knows no files: updates come through `load`.
 */

import { assert } from '../base/errors.ts';
import type { Params } from '../base/tensor.ts';
import type { Member } from './events.ts';
import {
  type AggregationReport,
  addUpdate,
  emptySum,
  type FixedPointPlan,
  type Mean,
  type PartialSum,
  takeMean,
} from './fixed-point.ts';
import { type BoundMethod, fedAvgStep } from './method.ts';
import { addReleaseNoise, type NoisyRelease, normOf, serverClipFactor } from './noisy-release.ts';
import { l2Norm } from './params.ts';

export interface StepInput {
  readonly round: number;
  readonly params: Params;
  readonly serverState: Params | undefined;
  readonly serverLearningRate: number;
  /** The cohort's part of the aggregation weight of all owners; omitted: 1. */
  readonly participation?: number;
  /** How the sum is made private; omitted: it is not. Of linear methods only. */
  readonly release?: NoisyRelease | undefined;
}

export interface RoundInput extends StepInput {
  /** Sorted by owner. */
  readonly members: readonly Member[];
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
  load: (update: string, owner: string) => Promise<Params>,
): Promise<RoundOutput> {
  if (method.combine !== undefined) return combinedRound(method, method.combine, input, load);
  const sum = emptySum();
  for (const { owner, update, aggregationWeight, freshWeight } of input.members) {
    const params = await load(update, owner);
    const clipNorm = input.release?.clipNorm;
    const factor = clipNorm === undefined ? 1 : serverClipFactor(normOf(params), clipNorm, sum);
    addUpdate(plan, sum, params, aggregationWeight, freshWeight, factor);
  }
  return stepFromSum(method, plan, input, sum);
}

/** What follows from the sum of all members, for methods that are linear; the sum is gone afterwards. */
export function stepFromSum(
  method: BoundMethod,
  plan: FixedPointPlan,
  input: StepInput,
  sum: PartialSum,
): RoundOutput {
  const { mean, norm, report } = takePrivateMean(plan, sum, input.release);
  return stepped(method, input, { aggregate: mean, norm, report });
}

/** The mean, with the noise of the release in it, if there is one. */
export function takePrivateMean(
  plan: FixedPointPlan,
  sum: PartialSum,
  release: NoisyRelease | undefined,
): Mean {
  if (release === undefined) return takeMean(plan, sum);
  const told = addReleaseNoise(plan, sum, release);
  const mean = takeMean(plan, sum);
  // How many coordinates were clamped was counted before there was noise.
  const clamped = release.noise.kind === 'secret' ? 0 : mean.report.clamped;
  return { ...mean, report: { ...mean.report, clamped, release: told } };
}

interface Aggregated {
  readonly aggregate: Params;
  readonly norm: number;
  readonly report: AggregationReport;
}

function stepped(
  { serverStep = fedAvgStep }: BoundMethod,
  { round, params, serverState: state, serverLearningRate, participation = 1 }: StepInput,
  { aggregate, norm, report }: Aggregated,
): RoundOutput {
  const next = serverStep({ round, params, aggregate, state, serverLearningRate, participation });
  return { params: next.params, serverState: next.state, report, aggregateNorm: norm };
}

async function combinedRound(
  method: BoundMethod,
  combine: NonNullable<BoundMethod['combine']>,
  input: RoundInput,
  load: (update: string, owner: string) => Promise<Params>,
): Promise<RoundOutput> {
  assert(input.release === undefined, 'a rule over whole updates has no clipped sum');
  const { members, round, params, serverState: state } = input;
  const updates = await Promise.all(
    members.map(async ({ owner, update, aggregationWeight }) => ({
      owner,
      aggregationWeight,
      update: await load(update, owner),
    })),
  );
  const aggregate = combine(updates, { round, params, state });
  const totalWeight = members.reduce((sum, { aggregationWeight }) => sum + aggregationWeight, 0);
  const report = {
    totalWeight,
    numUpdates: members.length,
    clamped: 0,
    coordinates: 0,
    quantisationErrorBound: 0,
  };
  const output = stepped(method, input, { aggregate, norm: l2Norm(aggregate), report });
  const figures = method.figures?.(updates, { before: params, after: output.params });
  if (figures === undefined || Object.keys(figures).length === 0) return output;
  return { ...output, report: { ...report, figures } };
}
