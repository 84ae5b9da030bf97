/**
 * The works of a simulated run: the product's own plan, checks and aggregation on a tiny model. They read and write blobs
 * through the port of the process they run in, and keep nothing.
 */

import { digestBytes, digestJson } from '../src/base/canonical.ts';
import type { Down, DownAsked, MaskFacts, RunWorks } from '../src/coordinator/ports.ts';
import { aggregateRound } from '../src/federation/aggregate.ts';
import type { ClientPrivacy } from '../src/federation/client-privacy.ts';
import type { AggregateWork } from '../src/federation/events.ts';
import { takeMean } from '../src/federation/fixed-point.ts';
import { addMaskedStream, checkMaskedStream, unmaskedSum } from '../src/federation/masking/masked-sum.ts';
import { layoutDigest, maskedLayout } from '../src/federation/masking/masked-vector.ts';
import type { SecureAggregation } from '../src/federation/masking/secure-aggregation.ts';
import { bindMethod } from '../src/federation/method.ts';
import { fedavg } from '../src/federation/methods/fedavg.ts';
import { addScaled, decodeParams, encodedBytes, encodeParams } from '../src/federation/params.ts';
import { createPlan, type Pace, type RunPlan } from '../src/federation/plan.ts';
import { median } from '../src/federation/robust/median.ts';
import { bindRule } from '../src/federation/robust/rule.ts';
import { withRobustRule } from '../src/federation/robust/with-rule.ts';
import { plannedSelection, type SelectionChoice } from '../src/federation/selection/registry.ts';
import { checkUpdateStream } from '../src/federation/update-check.ts';
import type { UnmaskOrder } from '../src/jobs/masking.ts';
import { releaseOf, releaseOrder } from '../src/jobs/release.ts';
import { removeMasks } from '../src/privacy/secure-aggregation/mask-stream.ts';
import { addWords, wordsOfBytes } from '../src/privacy/secure-aggregation/words.ts';
import type { Blobs } from '../src/storage/blobs.ts';
import { initialTinyParams, TINY_TENSORS, tinyParams } from './tiny-model.ts';

/** What defines a simulated run: its recipe. */
export interface TinyRecipe {
  readonly seed: number;
  readonly rounds: number;
  readonly localSteps: number;
  /** Null: all owners that are there when the run begins. */
  readonly cohortSize: number | null;
  readonly quorum: number | null;
  readonly minOwners: number;
  /** Omitted: uniformly. */
  readonly selection?: SelectionChoice;
  readonly serverLearningRate: number;
  readonly evaluated: boolean;
  /** Updates are masked, and owners open the masks together. */
  readonly secureAggregation?: SecureAggregation;
  /** Who opens the masks instead. */
  readonly helper?: { readonly url: string; readonly key: string };
  /** Clipping, noise of a secret key and uniform weights. */
  readonly privacy?: ClientPrivacy;
  readonly pace: Partial<Pace>;
  /** Owners are sent a part of the params and fetch the rest for itself. */
  readonly cut?: boolean;
}

const FIXED_POINT = { fractionBits: 30, range: 8 } as const;
export const TINY_BASE_MODEL = digestJson('the tiny base model');
const method = bindMethod(fedavg, {});
/** Plans with groups need a rule over their means; what comes of them here is the mean of all. */
const robust = withRobustRule(
  method,
  bindRule(median, median.options.parse({ byzantine: 0 }), { steps: [], seed: 1 }),
);

export function tinyWorks(recipe: TinyRecipe, blobs: Blobs, published: (params: string) => void): RunWorks {
  return {
    manifest: manifestOf(recipe),
    minOwners: recipe.minOwners,
    modelFile: () => undefined,
    init: async () => ({
      params: await blobs.put(encodeParams(initialTinyParams(recipe.seed))),
      tensors: TINY_TENSORS,
    }),
    plan: async (initial, owners) => ({ plan: planOf(recipe, initial.params, owners), provenance: null }),
    ...(recipe.cut === true ? { down: (_, asked) => tinyDown(blobs, asked) } : {}),
    updateBytes: () => encodedBytes(tinyParams(() => 0)),
    ...(recipe.secureAggregation === undefined ? {} : { maskFacts: (plan) => maskFactsOf(plan) }),
    check: (plan, _, source) =>
      plan.secureAggregation === undefined
        ? checkUpdateStream(source, plan.tensors, { maxNorm: plan.pace.maxUpdateNorm })
        : checkMaskedStream(source, plan.tensors),
    async aggregate(work, plan, noise, unmask) {
      if (unmask !== undefined) return maskedRound(blobs, work, plan, unmask);
      const { fixedPoint, serverLearningRate } = plan;
      const order = releaseOrder(plan, work, () => noise!);
      const load = async (digest: string) => decodeParams(await blobs.get(digest));
      const { round, members } = work;
      const release = order && releaseOf(order);
      const input = { round, members, serverLearningRate, serverState: undefined, release };
      const output = await aggregateRound(
        method,
        fixedPoint,
        { ...input, params: await load(work.params) },
        load,
      );
      const params = await blobs.put(encodeParams(output.params));
      return { params, serverState: null, report: output.report, aggregateNorm: output.aggregateNorm };
    },
    publish: async (work) => published(work.params),
    report: async () => {},
    close: async () => {},
  };
}

/** What a masked round of any plan is about. */
export function maskFactsOf({ tensors, fixedPoint }: RunPlan): MaskFacts {
  return { words: maskedLayout(tensors).words, layout: layoutDigest(tensors, fixedPoint.tensors[0]!) };
}

/** Before + the mean of the unmasked sum: what FedAvg makes of plain updates, to the last bit. */
export async function maskedRound(
  blobs: Blobs,
  { members, params }: AggregateWork,
  { tensors, fixedPoint, serverLearningRate }: RunPlan,
  { masks }: UnmaskOrder,
): Promise<Awaited<ReturnType<RunWorks['aggregate']>>> {
  const words = new Uint32Array(maskedLayout(tensors).words);
  for (const { update } of members) await addMaskedStream(words, blobs.stream(update), tensors);
  if ('sums' in masks) addWords(words, wordsOfBytes(await blobs.get(masks.sums)), -1);
  else await removeMasks(words, masks.flat());
  const totalWeight = members.reduce((sum, { aggregationWeight }) => sum + aggregationWeight, 0);
  const sum = unmaskedSum(fixedPoint, words, tensors, { totalWeight, numUpdates: members.length });
  const { mean, norm, report } = takeMean(fixedPoint, sum);
  const after = addScaled(decodeParams(await blobs.get(params)), mean, serverLearningRate);
  return { params: await blobs.put(encodeParams(after)), serverState: null, report, aggregateNorm: norm };
}

/** The last tensor apart from the others. */
async function tinyDown(blobs: Blobs, { params }: DownAsked): Promise<Down> {
  const whole = [...decodeParams(await blobs.get(params))];
  const piece = (part: typeof whole) => {
    const file = encodeParams(new Map(part));
    return { digest: digestBytes(file), bytes: file.byteLength, file: async () => file };
  };
  return { sent: piece(whole.slice(0, -1)), rest: piece(whole.slice(-1)) };
}

function manifestOf(recipe: TinyRecipe): RunWorks['manifest'] {
  return {
    seed: recipe.seed,
    recipe: { ...recipe, ...agreedMasks(recipe) },
    model: { source: 'tiny', digest: TINY_BASE_MODEL, files: [] },
    minCohort: recipe.secureAggregation === undefined ? 1 : (recipe.quorum ?? recipe.minOwners),
    metrics: ['loss'],
    privacy: [],
  };
}

/** As clients read it. */
function agreedMasks({ secureAggregation, helper }: TinyRecipe): Record<string, unknown> {
  if (secureAggregation === undefined) return {};
  const { mode, assumed, groupSize } = secureAggregation;
  const opener = helper === undefined ? {} : { helper };
  return {
    privacy: {
      secureAggregation: { mode, ...assumed, ...(groupSize === undefined ? {} : { groupSize }), ...opener },
    },
  };
}

type Owners = Parameters<RunWorks['plan']>[1];

function planOf(recipe: TinyRecipe, initialParams: string, owners: Owners) {
  const { seed, rounds, localSteps, serverLearningRate, pace } = recipe;
  const cohortSize = Math.min(recipe.cohortSize ?? owners.length, owners.length);
  const quorum = Math.min(recipe.quorum ?? cohortSize, cohortSize);
  const asked = Math.max(cohortSize, Math.min(pace.asked ?? cohortSize, owners.length));
  const isGrouped = recipe.secureAggregation?.groupSize !== undefined;
  const isUniform = isGrouped || recipe.privacy !== undefined;
  return createPlan(
    {
      seed,
      owners,
      tensors: TINY_TENSORS,
      baseModel: TINY_BASE_MODEL,
      initialParams,
      method: { kind: 'fedavg' },
      rounds,
      cohortSize,
      quorum,
      selection: recipe.selection === undefined ? undefined : plannedSelection(recipe.selection),
      localSteps,
      weighting: isUniform ? 'uniform' : 'examples',
      privacy: recipe.privacy,
      serverLearningRate,
      ...(recipe.secureAggregation === undefined
        ? { fixedPoint: FIXED_POINT }
        : { fixedPoint: {}, secureAggregation: recipe.secureAggregation }),
      earlyStopping: null,
      keepBest: false,
      arms: [],
      validateEveryRounds: recipe.evaluated ? 1 : 0,
      test: recipe.evaluated,
      pace: { ...pace, asked },
    },
    isGrouped ? robust : method,
  );
}

/** Not Ed25519, a thousandth of its cost, and as hard to forge for those who do not know the trick. */
export function signatureOf(publicKey: Uint8Array, message: Uint8Array): Uint8Array {
  const first = digestBytes(new Uint8Array(Buffer.concat([publicKey, message])));
  return new Uint8Array(Buffer.from(first + digestBytes(Buffer.from(first)), 'hex'));
}
