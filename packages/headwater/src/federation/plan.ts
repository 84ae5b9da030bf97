/**
 * The plan of a run: everything the round machine decides by, fixed when the run is created and written as the journal's
 * first event. Plain JSON; big data by digest. It knows no recipe and no files.
 */

import { HeadwaterError } from '../base/errors.ts';
import { sizeOf } from '../base/tensor.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import type { AttackPlan } from './attacks/attackers.ts';
import type { ClientPrivacy } from './client-privacy.ts';
import { exampleMistakes } from './example-needs.ts';
import type { ExamplePrivacy } from './example-privacy.ts';
import { type FixedPointPlan, planFixedPoint } from './fixed-point.ts';
import type { FreeRiderWatch } from './free-riders/report.ts';
import { planRing } from './masking/ring.ts';
import type { SecureAggregation } from './masking/secure-aggregation.ts';
import { secureAggregationMistakes } from './masking/secure-aggregation-needs.ts';
import type { BoundMethod, ClientFacts, RunFacts } from './method.ts';
import { exactFractionBits, ownNoiseMistakes } from './own-noise-needs.ts';
import { privacyMistakes } from './privacy-needs.ts';
import { type RealignPlan, realignMistakes } from './realign.ts';
import { type ReleaseRule, releaseMistakes } from './release-rule.ts';
import type { SelectionChoice } from './selection/registry.ts';
import { planWeights, sumOfLargest, type Weighting, type WeightPlan } from './weights.ts';

export interface OwnerCounts {
  readonly owner: string;
  readonly numExamples: number;
  readonly numTokens: number;
  /** Held-out examples that the owner scores itself; omitted where the shell holds them. */
  readonly heldOut?: { readonly validation: number; readonly test: number };
}

export interface OwnerPlan extends OwnerCounts {
  /** Positive integer. */
  readonly aggregationWeight: number;
}

/** A baseline trained beside the federation: one uninterrupted training on the pooled data of some owners. */
export interface ArmPlan {
  readonly id: string;
  readonly owners: readonly string[];
  readonly steps: number;
}

/**
 * How rounds go on when owners are slow, silent or wrong. The simulation waits for everybody and fails below the quorum;
 * a deployment has deadlines and asks again.
 */
export interface Pace {
  /**
   * `synchronous`: all train from the same params; a round closes when `cohortSize` updates were accepted, or nobody is
   * waited for, or at the deadline with a quorum. `buffered` (FedBuff, Nguyen et al. 2022): owners train from whatever
   * params they met; every `cohortSize` accepted updates make the next params.
   */
  readonly mode: 'synchronous' | 'buffered';
  /** Owners asked in a round (buffered: asked at any time): ⌈cohortSize · over-selection⌉. */
  readonly asked: number;
  /** Below the quorum a run fails, or the round is extended: everybody who may is asked again, and others too. */
  readonly belowQuorum: 'fail' | 'extend';
  /** For the shell's clock; null: the shell never sends `deadline`. */
  readonly deadlineMs: number | null;
  readonly evaluationDeadlineMs: number | null;
  /** An owner is not asked any more after so many rejected updates; null: never. */
  readonly quarantineAfter: number | null;
  /** Largest ‖update‖₂ that is accepted. */
  readonly maxUpdateNorm: number | null;
  /** Buffered: an update trained on params this many versions old is the oldest that counts. */
  readonly maxStaleness: number;
  /** Buffered: an update that is τ versions old counts (1 + τ)^−exponent. */
  readonly stalenessExponent: number;
  /** Who scores held-out examples: the shell, which holds them, or each owner its own. */
  readonly evaluatedBy: 'shell' | 'owners';
}

export interface EarlyStopping {
  readonly patienceRounds: number;
  readonly minDelta: number;
}

export interface LocalEpochs {
  readonly epochs: number;
  /** Examples of a step. */
  readonly batchSize: number;
}

/** Of a round as a whole, before any rule; absent (older runs, runs with noise or masks): nothing is put aside. */
export interface CohortChecks {
  /** κ: an update longer than κ times the round's median length does not count. */
  readonly normFactor: number;
}

export interface RunPlan {
  readonly seed: number;
  /** Sorted by name. */
  readonly owners: readonly OwnerPlan[];
  readonly weightRoundingError: number;
  readonly tensors: readonly TrainableTensor[];
  readonly baseModel: string;
  /** Digest of the params that everything starts from. */
  readonly initialParams: string;
  readonly method: { readonly kind: string };
  readonly rounds: number;
  readonly cohortSize: number;
  readonly quorum: number;
  /** How owners are chosen; absent: uniformly. */
  readonly selection?: SelectionChoice | undefined;
  readonly localSteps: number;
  /** An owner takes no more steps in a round than so many passes over its examples; absent: all take `localSteps`. */
  readonly localEpochs?: LocalEpochs | undefined;
  readonly weighting: Weighting;
  readonly serverLearningRate: number;
  readonly fixedPoint: FixedPointPlan;
  readonly earlyStopping: EarlyStopping | null;
  readonly keepBest: boolean;
  readonly arms: readonly ArmPlan[];
  /** Which evaluations there are: validation every so many rounds (0 = never), test at the end. */
  readonly validateEveryRounds: number;
  readonly test: boolean;
  /** Which rounds say what their aggregation lost, which costs a second look at all updates; absent: all. */
  readonly figures?: 'validated' | undefined;
  readonly pace: Pace;
  /** Clipping and noise, at the level of a client; absent: none. */
  readonly privacy?: ClientPrivacy | undefined;
  /** Noise in the steps of owners, for each of their examples; absent: none. */
  readonly examplePrivacy?: ExamplePrivacy | undefined;
  /** How updates are masked; absent: not. */
  readonly secureAggregation?: SecureAggregation | undefined;
  /** Adversaries of a simulation; absent: none. */
  readonly attack?: AttackPlan | undefined;
  /** What a round as a whole is checked for; absent: nothing. */
  readonly cohortChecks?: CohortChecks | undefined;
  /** Who sends what it did not learn is looked for; absent: not. */
  readonly freeRiders?: FreeRiderWatch | undefined;
  /** Every round's params and counted updates are kept to the end and after it; absent: as long as they are needed. */
  readonly keepUpdates?: true | undefined;
  /** Which rounds may be released; absent: any. */
  readonly release?: ReleaseRule | undefined;
  /** What the server trains after rounds; absent: nothing. */
  readonly realign?: RealignPlan | undefined;
}

export interface PlanInput
  extends Omit<RunPlan, 'owners' | 'weightRoundingError' | 'fixedPoint' | 'cohortSize' | 'quorum' | 'pace'> {
  readonly owners: readonly OwnerCounts[];
  /** Omitted: all owners. */
  readonly cohortSize?: number | undefined;
  /** Omitted: the cohort. */
  readonly quorum?: number | undefined;
  /** Omitted parts: 30 bits and 8, or, where updates are masked, as many bits as the sums hold and 1. */
  readonly fixedPoint: { readonly fractionBits?: number | undefined; readonly range?: number | undefined };
  /** Omitted parts: those of a simulation. */
  readonly pace?: Partial<Pace>;
}

/** `clients`: how they train and send. Throws RECIPE_INVALID (unmet needs, all together) and AGGREGATION_OVERFLOW. */
export function createPlan(input: PlanInput, method: BoundMethod, clients: ClientFacts = {}): RunPlan {
  const cohortSize = input.cohortSize ?? input.owners.length;
  // A least number that were drawn would tell how many were.
  const quorum = input.privacy?.poisson === undefined ? (input.quorum ?? cohortSize) : 0;
  const facts = {
    numOwners: input.owners.length,
    cohortSize,
    quorum,
    rounds: input.rounds,
    localSteps: input.localSteps,
    tensors: input.tensors,
    mode: input.pace?.mode ?? 'synchronous',
    serverLearningRate: input.serverLearningRate,
    weighting: input.weighting,
    maxUpdateNorm: input.pace?.maxUpdateNorm ?? undefined,
    groupSize: input.secureAggregation?.groupSize,
    ...clients,
  };
  const mistakes = [
    ...generalMistakes(input, cohortSize, quorum),
    ...method.preconditions(facts),
    ...publicDataMistakes(facts, method, input.realign),
    ...realignMistakes(input.realign, facts, method),
    ...privacyMistakes({ ...input, cohortSize, compression: clients.compression }, method),
    ...secureAggregationMistakes({ ...input, quorum, cohortSize, compression: clients.compression }, method),
    ...exampleMistakes({ ...input, stepsOf: (owner) => stepsOf(input, owner) }, method),
    ...releaseMistakes(input),
  ];
  if (mistakes.length > 0)
    throw new HeadwaterError('RECIPE_INVALID', `the run cannot start: ${mistakes.join('; ')}`, {
      hint: 'Change the federation part of the recipe.',
    });
  const fixedPoint = fixedPointOf(input, method, { cohortSize, quorum });
  checkOwnNoise(input, method, { quorum, fixedPoint, compression: clients.compression });
  const owners = [...input.owners].sort((a, b) => (a.owner < b.owner ? -1 : 1));
  const { pace } = withPace({ cohortSize, pace: input.pace });
  const frame = { weighting: input.weighting, cohortSize, pace, fixedPoint };
  const { weights, maxRelativeError } = weightsOf(owners, frame);
  const {
    selection,
    localEpochs,
    privacy,
    secureAggregation,
    examplePrivacy,
    attack,
    cohortChecks,
    freeRiders,
    keepUpdates,
    release,
    realign,
    ...rest
  } = input;
  return {
    ...rest,
    ...(selection === undefined ? {} : { selection }),
    ...(localEpochs === undefined ? {} : { localEpochs }),
    ...(privacy === undefined ? {} : { privacy }),
    ...(secureAggregation === undefined ? {} : { secureAggregation }),
    ...(examplePrivacy === undefined ? {} : { examplePrivacy }),
    ...(attack === undefined ? {} : { attack }),
    ...(cohortChecks === undefined ? {} : { cohortChecks }),
    ...(freeRiders === undefined ? {} : { freeRiders }),
    ...(keepUpdates === undefined ? {} : { keepUpdates }),
    ...(release === undefined ? {} : { release }),
    ...(realign === undefined ? {} : { realign }),
    owners: owners.map((owner, i) => ({ ...owner, aggregationWeight: weights[i]! })),
    weightRoundingError: maxRelativeError,
    cohortSize,
    quorum,
    fixedPoint,
    pace,
  };
}

/** Public examples are for methods whose server trains on them, and these need some. */
function publicDataMistakes(
  { numPublicExamples }: RunFacts,
  { id, serverTrain, rule }: BoundMethod,
  realign: RealignPlan | undefined,
): string[] {
  if (rule?.asksReference === true || realign !== undefined) return [];
  if (numPublicExamples === undefined || numPublicExamples > 0 === (serverTrain !== undefined)) return [];
  return serverTrain === undefined
    ? [`data.public is for methods whose server trains on it, and for federation.realign; ${id} does not`]
    : [`${id} learns from public texts: name a file of them as data.public`];
}

/** Optimizer steps of an owner in a round. */
export function stepsOf(
  { localSteps, localEpochs }: Pick<RunPlan, 'localSteps' | 'localEpochs'>,
  { numExamples }: Pick<OwnerCounts, 'numExamples'>,
): number {
  if (localEpochs === undefined) return localSteps;
  const { epochs, batchSize } = localEpochs;
  return Math.min(localSteps, Math.max(1, Math.ceil((epochs * numExamples) / batchSize)));
}

/** Mean of `stepsOf` over owners. */
export function meanSteps(
  plan: Pick<RunPlan, 'localSteps' | 'localEpochs'>,
  owners: readonly OwnerCounts[],
): number {
  return owners.reduce((sum, owner) => sum + stepsOf(plan, owner), 0) / Math.max(1, owners.length);
}

/** Where masks are added the sum is one modulo 2³². Throws AGGREGATION_OVERFLOW. */
function fixedPointOf(
  input: PlanInput,
  method: BoundMethod,
  { cohortSize, quorum }: { readonly cohortSize: number; readonly quorum: number },
): FixedPointPlan {
  const tensors = summedTensors(input, method);
  const { fractionBits = 30, range = 8 } = input.fixedPoint;
  if (input.secureAggregation === undefined) return planFixedPoint(tensors, { fractionBits, range });
  const counts = input.owners.map((owner) => countOf(owner, input.weighting));
  const ring = planRing(tensors, { ...input.fixedPoint, counts, cohortSize });
  if (input.fixedPoint.fractionBits !== undefined || input.privacy?.trust !== 'distributed') return ring;
  // What a client sends is read as float32: noise has to fit beside the update.
  const fits = exactFractionBits(input.privacy, sentTensors(input, method), quorum);
  const bits = Math.min(fits, ring.tensors[0]?.fractionBits ?? fits);
  return planRing(tensors, { ...input.fixedPoint, fractionBits: bits, counts, cohortSize });
}

/** Throws RECIPE_INVALID. */
function checkOwnNoise(
  input: PlanInput,
  method: BoundMethod,
  facts: {
    readonly quorum: number;
    readonly fixedPoint: FixedPointPlan;
    readonly compression?: string | undefined;
  },
): void {
  const { privacy, secureAggregation } = input;
  const { quorum, fixedPoint, compression } = facts;
  const [scale] = fixedPoint.tensors;
  if (privacy === undefined || scale === undefined) return;
  const { fractionBits, range } = scale;
  const tensors = sentTensors(input, method);
  const masked = secureAggregation !== undefined;
  const mistakes = ownNoiseMistakes({ privacy, tensors, quorum, fractionBits, range, masked, compression });
  if (mistakes.length > 0)
    throw new HeadwaterError('RECIPE_INVALID', `the run cannot start: ${mistakes.join('; ')}`, {
      hint: 'Change the privacy part of the recipe.',
    });
}

/** Of the round in which most travel. */
function sentTensors({ tensors, owners }: PlanInput, method: BoundMethod): readonly TrainableTensor[] {
  const size = (sent: readonly TrainableTensor[]) => sent.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const [first, second] = [1, 2].map((round) => method.wire(tensors, round, owners[0]?.owner ?? ''));
  return size(first!) >= size(second!) ? first! : second!;
}

/** What may be added up: trained tensors, and others that travel in some round (methods may take turns of two). */
function summedTensors({ tensors, owners }: PlanInput, method: BoundMethod): TrainableTensor[] {
  const travelling = [1, 2].flatMap((round) => method.wire(tensors, round, owners[0]?.owner ?? ''));
  const byName = new Map([...travelling, ...tensors].map((tensor) => [tensor.name, tensor]));
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** With the parts of the pace that are not given: those of a simulation. */
export function withPace<
  P extends { readonly cohortSize: number; readonly pace?: Partial<Pace> | undefined },
>(plan: P): P & { readonly pace: Pace } {
  return { ...plan, pace: { ...SIMULATION_PACE, asked: plan.cohortSize, ...plan.pace } };
}

const SIMULATION_PACE: Omit<Pace, 'asked'> = {
  mode: 'synchronous',
  belowQuorum: 'fail',
  deadlineMs: null,
  evaluationDeadlineMs: null,
  quarantineAfter: null,
  maxUpdateNorm: null,
  maxStaleness: 0,
  stalenessExponent: 0,
  evaluatedBy: 'shell',
};

/** Into so many steps a weight is divided, where the budget allows, so that a stale update's can be lowered finely. */
const STALENESS_STEPS = 1024;

/** Integer weights of some owners, in their order. Throws AGGREGATION_OVERFLOW. */
export function weightsOf(
  owners: readonly OwnerCounts[],
  {
    weighting,
    cohortSize,
    pace,
    fixedPoint,
  }: Pick<RunPlan, 'weighting' | 'cohortSize' | 'pace' | 'fixedPoint'>,
): WeightPlan {
  const counts = owners.map((owner) => countOf(owner, weighting));
  const { maxTotalWeight } = fixedPoint;
  const plan = planWeights(counts, cohortSize, maxTotalWeight);
  if (pace.mode === 'synchronous') return plan;
  const room = Math.floor(maxTotalWeight / Math.max(1, sumOfLargest(plan.weights, cohortSize)));
  const steps = Math.min(STALENESS_STEPS, room);
  return { ...plan, weights: plan.weights.map((weight) => weight * steps) };
}

/** What an owner counts by. */
export function countOf(owner: OwnerCounts, weighting: Weighting): number {
  if (weighting === 'uniform') return 1;
  return weighting === 'tokens' ? owner.numTokens : owner.numExamples;
}

function generalMistakes(input: PlanInput, cohortSize: number, quorum: number): string[] {
  const mistakes: string[] = [];
  if (input.owners.length === 0) mistakes.push('no owner has training examples');
  if (cohortSize > input.owners.length)
    mistakes.push(`federation.cohortSize is ${cohortSize}, but there are ${input.owners.length} owners`);
  if (quorum > cohortSize) mistakes.push(`federation.quorum is ${quorum}, but the cohort is ${cohortSize}`);
  const selects = input.earlyStopping !== null || input.keepBest;
  if (selects && input.validateEveryRounds === 0)
    mistakes.push('federation.earlyStopping and keepBest need validation data');
  return mistakes;
}
