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
import { type BoundMethod, fedAvgStep, type WeightedUpdate } from './method.ts';
import {
  addReleaseNoise,
  type NoisyRelease,
  normOf,
  serverClipFactor,
  serverClipNorm,
  withZeros,
} from './noisy-release.ts';
import { l2Norm } from './params.ts';
import { aggregateRobustly } from './robust/aggregate-robustly.ts';
import { aggregateByTensor, goesByTensor } from './robust/by-tensor.ts';
import type { BoundRule } from './robust/rule.ts';
import { joinedState, splitState } from './robust/rule-state.ts';

export interface StepInput {
  readonly round: number;
  readonly params: Params;
  readonly serverState: Params | undefined;
  readonly serverLearningRate: number;
  /** The cohort's part of the aggregation weight of all owners; omitted: 1. */
  readonly participation?: number;
  /** How the sum is made private; omitted: it is not. Of linear methods only. */
  readonly release?: NoisyRelease | undefined;
  /** What the server learnt itself, as an update; for robust rules that ask for it. */
  readonly reference?: Params | undefined;
}

export interface RoundInput extends StepInput {
  /** Sorted by owner. */
  readonly members: readonly Member[];
  /** Whether the method's figures are asked for; omitted: none are made. */
  readonly figures?: boolean | undefined;
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
  if (method.combine !== undefined) return combinedRound(method, method.combine, plan, input, load);
  const sum = emptySum();
  for (const { owner, update, aggregationWeight, freshWeight } of input.members) {
    const params = await load(update, owner);
    const clipNorm = serverClipNorm(input.release);
    const factor = clipNorm === undefined ? 1 : serverClipFactor(normOf(params), clipNorm, sum);
    addUpdate(plan, sum, params, aggregationWeight, freshWeight, factor);
  }
  if (input.release?.poisson !== undefined) withZeros(sum, method.wire(plan.tensors, input.round, ''));
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
  plan: FixedPointPlan,
  input: RoundInput,
  load: (update: string, owner: string) => Promise<Params>,
): Promise<RoundOutput> {
  assert(input.release === undefined, 'a rule over whole updates has no clipped sum');
  const { members, round, params, serverState: state } = input;
  const { rule } = method;
  if (rule !== undefined && goesByTensor(rule, members.length, plan.tensors)) {
    const aggregate = await aggregateByTensor(rule, members, { round, params, state: undefined }, load);
    return outputOf(method, input, aggregate);
  }
  const updates = await Promise.all(
    members.map(async ({ owner, update, aggregationWeight }) => ({
      owner,
      aggregationWeight,
      update: await load(update, owner),
    })),
  );
  if (rule !== undefined) return ruledRound(method, rule, input, updates);
  const aggregate = combine(updates, { round, params, state });
  return told(method, input, updates, outputOf(method, input, aggregate));
}

/** By a robust rule, whose state lies beside the method’s own. */
function ruledRound(
  method: BoundMethod,
  rule: BoundRule,
  input: RoundInput,
  updates: readonly WeightedUpdate[],
): RoundOutput {
  const { round, params, serverState, reference } = input;
  const state = splitState(serverState);
  const ruled = aggregateRobustly(rule, updates, { round, params, state: state.rule, reference });
  const output = outputOf(method, { ...input, serverState: state.own }, ruled.aggregate);
  const { report, serverState: own } = output;
  const { voices } = ruled;
  return told(method, input, updates, {
    ...output,
    serverState: joinedState(own, ruled.state),
    report: voices === undefined ? report : { ...report, voices },
  });
}

function outputOf(method: BoundMethod, input: RoundInput, aggregate: Params): RoundOutput {
  const { members } = input;
  const totalWeight = members.reduce((sum, { aggregationWeight }) => sum + aggregationWeight, 0);
  const report = {
    totalWeight,
    numUpdates: members.length,
    clamped: 0,
    coordinates: 0,
    quantisationErrorBound: 0,
  };
  return stepped(method, input, { aggregate, norm: l2Norm(aggregate), report });
}

/** With the method’s figures in its report, where they are asked for. */
function told(
  method: BoundMethod,
  { params, figures: asked }: RoundInput,
  updates: readonly WeightedUpdate[],
  output: RoundOutput,
): RoundOutput {
  if (asked !== true) return output;
  const figures = method.figures?.(updates, { before: params, after: output.params });
  if (figures === undefined || Object.keys(figures).length === 0) return output;
  return { ...output, report: { ...output.report, figures } };
}
