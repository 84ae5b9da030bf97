/**
 * The works of a run as a recipe describes it: the model is opened here, heavy work is done by a worker thread, results go to
 * a folder. What is decided from them is decided by the machine.
 */

import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { assert } from '../../base/errors.ts';
import { chosenSchema } from '../../data/schema-choice.ts';
import { requireTemplate } from '../../data/tokenize.ts';
import type { BoundCompression } from '../../federation/compression/compression.ts';
import { encodedUpdateBytes } from '../../federation/compression/encode.ts';
import { checkMaskedStream } from '../../federation/masking/masked-sum.ts';
import { layoutDigest, maskedLayout } from '../../federation/masking/masked-vector.ts';
import type { BoundMethod } from '../../federation/method.ts';
import { createPlan, type OwnerCounts, type RunPlan } from '../../federation/plan.ts';
import { plannedSelection } from '../../federation/selection/registry.ts';
import { checkUpdateStream } from '../../federation/update-check.ts';
import { isHubId } from '../../federation/wire/model-file.ts';
import { accountabilityOf } from '../../jobs/accountability.ts';
import { examplePrivacy } from '../../jobs/example-privacy.ts';
import { checkHelper, plannedSecureAggregation } from '../../jobs/masking.ts';
import { checkDeployable } from '../../jobs/owner-data.ts';
import type { Pool } from '../../jobs/pool.ts';
import { asRecipeSays, codecOf } from '../../jobs/prepare.ts';
import { loadPublicExamples, numExamplesOf } from '../../jobs/public-data.ts';
import {
  bindRecipeCompression,
  bindRecipeMethod,
  bindTuning,
  clientFacts,
  clientPrivacy,
  type RunRegistries,
} from '../../jobs/records.ts';
import { type NoiseOrder, releaseOrder } from '../../jobs/release.ts';
import { releaseRuleOf } from '../../jobs/release-rule.ts';
import { resolveRecipe } from '../../jobs/resolve-recipe.ts';
import { metricsOf } from '../../jobs/tokenize-parts.ts';
import { localEpochsOf, realignment, serverTraining } from '../../jobs/training-options.ts';
import { openOwnWorker } from '../../jobs/workers.ts';
import { openModel } from '../../models/checkpoint-node.ts';
import type { HubProgress } from '../../models/hub-node.ts';
import type { Model } from '../../models/model.ts';
import { computingDigest } from '../../models/quantization-choice.ts';
import { deploymentSizes, minOwnersOf } from '../../recipe/pace.ts';
import { privacyMechanisms } from '../../recipe/privacy-mechanisms.ts';
import type { Recipe, RecipeInput } from '../../recipe/schema.ts';
import { describeEnvironment } from '../../runs/environment.ts';
import { privacyCard } from '../../runs/privacy.ts';
import { runPaths } from '../../runs/run-folder.ts';
import type { BoundTuning, TrainableTensor } from '../../tuning/kind.ts';
import { aggregateByTree, type SharedParts } from '../aggregation/tree.ts';
import { countWorkers, type PresenceParts } from '../aggregation/workers-present.ts';
import type { InitialParams, MaskFacts, RunWorks } from '../ports.ts';
import { createDown } from './down.ts';
import { listModelFiles, sourceName, streamModelFile } from './model-files.ts';
import { factsOf } from './owner-facts.ts';
import { reportRun } from './run-report.ts';

export interface RecipeWorksOptions {
  /** Folder, or `s3://…`. */
  readonly blobs: string;
  /** Results go to `<folder>/<run>/`. */
  readonly resultsFolder: string;
  readonly clock: Clock;
  readonly onDownload?: (progress: HubProgress) => void;
  /** Where workers may be who aggregate. */
  readonly shared?: SharedParts & { readonly store: PresenceParts['store'] };
}

/** `given`: a resolved recipe. Throws RECIPE_*, PLUGIN_INVALID, MODEL_*, HUB_FAILED, STORAGE_FAILED, CODE_EXECUTION_REFUSED. */
export async function openRecipeWorks(
  run: string,
  given: RecipeInput,
  options: RecipeWorksOptions,
): Promise<RunWorks> {
  const { recipe, registries } = await resolveRecipe(given);
  await checkDeployable(recipe, registries);
  checkHelper(recipe);
  const { onDownload, shared } = options;
  const model = await openModel(recipe.model, {
    labels: recipe.labels,
    ...(onDownload === undefined ? {} : { onProgress: onDownload }),
  });
  await checkChats(recipe, registries, model);
  const publicExamples =
    recipe.data.public === undefined
      ? undefined
      : await loadPublicExamples(recipe, registries, await codecOf(model));
  // A server that trains computes with the weights that its clients compute with.
  const { quantized } =
    publicExamples === undefined ? model : await asRecipeSays(model, recipe, () => undefined);
  const method = bindRecipeMethod(recipe, registries);
  const compression = bindRecipeCompression(recipe, registries);
  const compressions = {
    compressions: registries.compressions,
    compressionChoice: recipe.federation.compression,
  };
  const modelDigest = computingDigest(await model.digest(), recipe.quantization);
  const files = isHubId(recipe.model) ? [] : await listModelFiles(model.folder);
  const folder = join(options.resultsFolder, run);
  let pool: Pool | undefined;
  /** Opened when first needed: a run that waits for owners needs no memory. */
  const worker = () => {
    const folders = { modelFolder: model.folder, quantizedFolder: quantized?.folder };
    const init = { recipe, ...folders, blobs: options.blobs, publicExamples };
    pool ??= openOwnWorker(init, options.clock);
    return pool;
  };
  const plan = (initial: InitialParams, owners: readonly OwnerCounts[]) =>
    planOf(recipe, registries, method, modelDigest, initial, owners, numExamplesOf(publicExamples));
  rehearse(recipe, bindTuning(recipe, model.definition, registries), plan);
  const layout = (plan: RunPlan, round: number, owner: string) => method.wire(plan.tensors, round, owner);
  const cuts = createDown(method, async (job) => (await worker().run(job, 0)).result);
  /** Asked for with every task. */
  const sizes = new Map<string, number>();
  return {
    manifest: manifestOf(recipe, registries, { digest: modelDigest, files }),
    minOwners: minOwnersOf(recipe),
    modelFile(digest, range) {
      const file = files.find((known) => known.digest === digest);
      return file === undefined ? undefined : streamModelFile(model.folder, file.path, range);
    },
    async init() {
      const job = { kind: 'init', seed: recipe.seed, adapter: recipe.adapter ?? null } as const;
      return (await worker().run(job, 0)).result;
    },
    plan: async (initial, owners) => ({
      plan: plan(initial, owners),
      provenance: provenanceOf(recipe, registries, modelDigest, owners),
    }),
    updateBytes(plan, round, owner) {
      const key = method.wirePerOwner ? `${round} ${owner}` : String(round);
      const bytes = sizes.get(key) ?? updateBytesOf(plan, compression, layout(plan, round, owner));
      sizes.set(key, bytes);
      return bytes;
    },
    ...cuts,
    maskFacts: (plan, round) => maskFactsOf(plan, layout(plan, round, plan.owners[0]!.owner)),
    check: (plan, { round, owner }, source) =>
      plan.secureAggregation === undefined
        ? checkUpdateStream(source, layout(plan, round, owner), {
            compression,
            maxNorm: plan.pace.maxUpdateNorm,
          })
        : checkMaskedStream(source, layout(plan, round, owner)),
    async aggregate(work, plan, noise, unmask) {
      const { fixedPoint, serverLearningRate, tensors } = plan;
      const training = serverTraining(recipe, plan, work.round);
      const release = releaseOrder(plan, work, () => secretNoise(noise));
      const realign = realignment(recipe, plan, work.round);
      const job = { work, fixedPoint, serverLearningRate, training, realign, release, unmask };
      const here = async () => (await worker().run({ kind: 'aggregate', ...job }, 0)).result;
      // Tasks for other processes lie in the store; a noise key stays in this one, masks are taken away in it, and it has a model.
      if (release !== undefined || unmask !== undefined || realign !== undefined) return here();
      if (shared === undefined || (await countWorkers(shared.store)) === 0) return here();
      const parts = { ...shared, ...compressions, method, compression, tensors };
      return aggregateByTree(parts, job, here);
    },
    async publish({ params }, state) {
      const exportFolder =
        runPaths(folder)[trainsWholeModel(recipe, model, registries) ? 'model' : 'adapter'];
      const card = privacyCard(recipe.name, state);
      await worker().run({ kind: 'export', params, folder: exportFolder, card }, 0);
    },
    report: (events) => reportRun({ folder, recipe, events }),
    close: async () => {
      await pool?.close();
    },
  };
}

/** What every owner would find after it joined. Throws OPTION_INVALID. */
async function checkChats({ data }: Recipe, { schemas }: RunRegistries, model: Model): Promise<void> {
  const { schema, options } = chosenSchema(data.schema, schemas);
  if (schema.isChat?.(options) === true) requireTemplate(await codecOf(model));
}

function secretNoise(noise: NoiseOrder | undefined): NoiseOrder {
  assert(noise?.kind === 'secret', 'a round with privacy has a noise key');
  return noise;
}

function updateBytesOf(
  { secureAggregation }: RunPlan,
  compression: BoundCompression,
  tensors: readonly TrainableTensor[],
): number {
  return secureAggregation === undefined
    ? encodedUpdateBytes(compression, tensors)
    : maskedLayout(tensors).fileBytes;
}

function maskFactsOf({ fixedPoint }: RunPlan, tensors: readonly TrainableTensor[]): MaskFacts {
  return { words: maskedLayout(tensors).words, layout: layoutDigest(tensors, fixedPoint.tensors[0]!) };
}

/** A plan for owners who might come: what cannot work with any is refused now, not when they wait. Throws RECIPE_INVALID. */
function rehearse(
  recipe: Recipe,
  { tensors }: BoundTuning,
  plan: (initial: InitialParams, owners: readonly OwnerCounts[]) => RunPlan,
): void {
  const names = Array.from(
    { length: minOwnersOf(recipe) },
    (_, i) => recipe.deployment.owners?.[i] ?? `owner-${i}`,
  );
  // As many as δ allows an owner to have: what works with none of them cannot work.
  const { delta } = recipe.privacy?.exampleLevel ?? {};
  const numExamples = delta === undefined ? 100 : Math.max(1, Math.floor(1 / delta));
  plan(
    { params: '', tensors },
    names.map((owner) => ({ owner, numExamples, numTokens: 100 * numExamples })),
  );
}

function trainsWholeModel(recipe: Recipe, model: Model, registries: RunRegistries): boolean {
  return bindTuning(recipe, model.definition, registries).adapterConfig() === undefined;
}

/** What clients carry out, without anything of this machine or about other owners. */
function manifestOf(
  recipe: Recipe,
  registries: RunRegistries,
  model: { readonly digest: string; readonly files: RunWorks['manifest']['model']['files'] },
): RunWorks['manifest'] {
  const { model: source, adapter: _adapter, plugins: _plugins, workers: _workers, ...rest } = recipe;
  // Public texts travel with the params.
  const { train: _train, validation, test, public: _public, ...data } = recipe.data;
  const { owners: _owners, ...deployment } = recipe.deployment;
  const { folder: _folder, ...quantization } = recipe.quantization;
  const own = { files: 'the owner’s own' };
  const shown = {
    ...rest,
    deployment,
    quantization,
    data: {
      ...data,
      ...(validation === undefined ? {} : { validation: own }),
      ...(test === undefined ? {} : { test: own }),
    },
  };
  const sizes = deploymentSizes(recipe, minOwnersOf(recipe));
  return {
    seed: recipe.seed,
    // Through JSON: what is undefined here would be absent there.
    recipe: JSON.parse(JSON.stringify(shown)),
    model: { source: sourceName(source), ...model },
    // Coins may draw a single owner.
    minCohort:
      recipe.privacy?.clientLevel?.sampling === 'poisson' ? 1 : (sizes.quorum ?? sizes.cohortSize ?? 1),
    metrics: metricsOf(recipe, registries).metrics.map(({ id }) => id),
    privacy: privacyMechanisms(recipe),
  };
}

function planOf(
  recipe: Recipe,
  registries: RunRegistries,
  method: BoundMethod,
  modelDigest: string,
  initial: InitialParams,
  owners: readonly OwnerCounts[],
  numPublicExamples: number,
): RunPlan {
  const { federation, seed, data, evaluation } = recipe;
  const { rounds, localSteps, weighting, serverLearningRate, fixedPoint, keepBest } = federation;
  const sizes = deploymentSizes(recipe, owners.length);
  const validates = data.validation !== undefined || data.validationFraction > 0;
  return createPlan(
    {
      seed,
      owners,
      tensors: initial.tensors,
      baseModel: modelDigest,
      initialParams: initial.params,
      method: federation.method,
      selection: plannedSelection(federation.selection),
      rounds,
      localSteps,
      localEpochs: localEpochsOf(recipe),
      weighting,
      serverLearningRate,
      fixedPoint,
      privacy: clientPrivacy(recipe, sizes.cohortSize),
      secureAggregation: plannedSecureAggregation(recipe),
      examplePrivacy: examplePrivacy(recipe),
      ...accountabilityOf(recipe),
      release: releaseRuleOf(recipe, registries),
      realign: federation.realign,
      earlyStopping: federation.earlyStopping ?? null,
      keepBest,
      arms: [],
      validateEveryRounds: validates ? evaluation.everyRounds : 0,
      // Nobody waits for them, everybody for the round.
      figures: 'validated',
      test: data.test !== undefined || data.testFraction > 0,
      ...sizes,
    },
    method,
    { ...clientFacts(recipe, registries), numPublicExamples },
  );
}

function provenanceOf(
  recipe: Recipe,
  registries: RunRegistries,
  modelDigest: string,
  owners: readonly OwnerCounts[],
): unknown {
  const facts = factsOf(recipe, registries, owners);
  // The data are the owners' and have no digest here.
  const provenance = { recipe, modelDigest, dataDigest: '', facts, environment: describeEnvironment() };
  return JSON.parse(JSON.stringify(provenance));
}
