/**
 * A recipe → everything a run needs before its first step: the model folder, each owner's training examples in shared
 * memory, the held-out sets, and the facts about them that reports show. It trains nothing and writes nothing.
 */

import { createHash } from 'node:crypto';
import { digestJson } from '../base/canonical.ts';
import { loadDataset } from '../data/dataset-node.ts';
import type { Partition } from '../data/partition/partitioner.ts';
import { partitionExamples } from '../data/partition/registry.ts';
import { stratifiedSplit } from '../data/split.ts';
import type { TextCodec } from '../data/tokenize.ts';
import { classesOf } from '../data/tokenize-class.ts';
import type { TokenizedExample } from '../data/types.ts';
import type { OwnerCounts } from '../federation/plan.ts';
import { openModel } from '../models/checkpoint-node.ts';
import type { HubProgress } from '../models/hub-node.ts';
import type { Model } from '../models/model.ts';
import { checkVocabulary } from '../models/tokenizer.ts';
import { loadTokenizer } from '../models/tokenizer-node.ts';
import type { Recipe } from '../recipe/schema.ts';
import { quantizedModel } from '../training/quantized-model-node.ts';
import { poisoned } from './attacking.ts';
import { type HeldOutParts, type HeldOutSets, taskChoices } from './held-out.ts';
import { requireConsent } from './programs/consent.ts';
import type { OnProgress, Progress } from './progress.ts';
import { loadPublicExamples } from './public-data.ts';
import { bindRecipeAttack, type RunRegistries } from './records.ts';
import { type SharedExamples, shareExamples, viewExamples } from './shared-examples.ts';
import { loadTaskContext } from './task-context-node.ts';
import { type DataFacts, type PrepareContext, tokenizeParts } from './tokenize-parts.ts';

export interface PreparedRun {
  readonly recipe: Recipe;
  readonly model: Model;
  readonly modelDigest: string;
  readonly owners: readonly OwnerCounts[];
  readonly train: ReadonlyMap<string, SharedExamples>;
  readonly heldOut: HeldOutSets;
  /** Of `data.public`; undefined: none, or not here. */
  readonly publicExamples?: SharedExamples | undefined;
  /** Adversaries of a simulation, sorted by name; undefined: there are none. */
  readonly attackers?: readonly string[] | undefined;
  /** SHA-256 over all tokens in use, to notice changed data at a restart. */
  readonly dataDigest: string;
  readonly facts: DataFacts;
}

export interface PrepareOptions {
  readonly onProgress?: OnProgress;
  /** Stops a download. */
  readonly signal?: AbortSignal;
  /** Run programs that the model wrote even where they cannot be locked in. */
  readonly allowCodeExecution?: boolean;
}

/** Throws what models and data throw: MODEL_*, TOKENIZER_INVALID, HUB_FAILED, DATA_*, OPTION_INVALID, RECIPE_INVALID, CODE_EXECUTION_REFUSED. */
export async function prepareRun(
  recipe: Recipe,
  registries: RunRegistries,
  options: PrepareOptions = {},
): Promise<PreparedRun> {
  const { onProgress = () => undefined, signal } = options;
  onProgress({ type: 'preparing', what: 'model', detail: recipe.model });
  const download = ({ file, doneBytes, totalBytes }: HubProgress) =>
    onProgress({ type: 'download', file, doneBytes, totalBytes });
  const load = async () => {
    onProgress({ type: 'preparing', what: 'data', detail: [recipe.data.train.files].flat().join(', ') });
    return loadParts(recipe, registries);
  };
  let loading: Promise<HeldOutParts> | undefined;
  const loaded = () => {
    loading ??= load();
    return loading;
  };
  const everything = async () => {
    const { train, validation, test } = await loaded();
    return [train, validation, test].flat();
  };
  await requireConsent(
    taskChoices(recipe, registries),
    options.allowCodeExecution === true ? 'all' : 'locked-in',
  );
  const model = await openModel(recipe.model, {
    onProgress: download,
    labels: recipe.labels ?? (async () => classesOf(await everything())),
    ...(signal === undefined ? {} : { signal }),
  });
  const codec = await codecOf(model);
  const computing = await asRecipeSays(model, recipe, onProgress);
  const parts = await loaded();
  const partition = partitionExamples(parts.train, recipe.partition, recipe.seed, registries.partitioners);
  const context = { recipe: withClasses(recipe, model), registries, model: computing, codec };
  const publicExamples = await loadPublicExamples(recipe, registries, codec);
  const attack = bindRecipeAttack(recipe, registries);
  if (attack === undefined) return prepareParts(context, parts, partition, publicExamples);
  const { train, attackers } = poisoned(attack, parts.train, partition, recipe.seed);
  const prepared = await prepareParts(context, { ...parts, train }, partition, publicExamples);
  return { ...prepared, attackers };
}

/** The model with its weights in the bits that the recipe wants, made the first time. Throws MODEL_INVALID, STORAGE_FAILED. */
export function asRecipeSays(
  model: Model,
  { quantization }: Pick<Recipe, 'quantization'>,
  onProgress: (event: Extract<Progress, { type: 'preparing' }> & { readonly what: 'model' }) => void,
): Promise<Model> {
  return quantizedModel(model, quantization, (done, total) => {
    if (done === 1)
      onProgress({
        type: 'preparing',
        what: 'model',
        detail: `${total} modules as ${quantization.kind} blocks`,
      });
  });
}

/** The classes of a fresh head are part of the recipe from now on: workers have no data to take them from. */
function withClasses(recipe: Recipe, { definition: { classifier } }: Model): Recipe {
  if (classifier === undefined || classifier.freshModules.length === 0) return recipe;
  return { ...recipe, labels: [...classifier.labels] };
}

/** The model's tokenizer, which must know the model's vocabulary, and its classes. */
export async function codecOf(model: Model): Promise<TextCodec> {
  const { shape, classifier } = model.definition;
  const codec = await loadTokenizer(model.folder);
  checkVocabulary(codec.tokenizer, shape.vocabSize, model.folder);
  return { ...codec, labels: classifier?.labels };
}

/** Examples and who holds them → a run that can begin. */
export async function prepareParts(
  context: PrepareContext,
  parts: HeldOutParts,
  partition: Partition,
  publicExamples?: SharedExamples,
): Promise<PreparedRun> {
  const { recipe, model } = context;
  const { held, heldOut, owners, facts } = tokenizeParts(context, parts, partition);
  return {
    recipe,
    model,
    modelDigest: await model.digest(),
    owners,
    train: new Map([...held].map(([owner, examples]) => [owner, shareExamples(examples)])),
    heldOut,
    publicExamples,
    dataDigest: digestOf(held, heldOut, publicExamples),
    facts,
  };
}

async function loadParts(recipe: Recipe, registries: RunRegistries): Promise<HeldOutParts> {
  const { data, seed } = recipe;
  const load = (source: Recipe['data']['train'] | undefined) =>
    source === undefined ? [] : loadDataset(source, data.schema, data, '.', registries.schemas);
  const given = await load(data.train);
  const fractions = { validation: data.validationFraction, test: data.testFraction };
  const split = stratifiedSplit(given, fractions, seed);
  const at = (positions: readonly number[]) => positions.map((position) => given[position]!);
  const validation = data.validation === undefined ? at(split.validation) : await load(data.validation);
  const test = data.test === undefined ? at(split.test) : await load(data.test);
  return { train: at(split.train), validation, test, context: await loadTaskContext(recipe, registries) };
}

function digestOf(
  held: ReadonlyMap<string, readonly TokenizedExample[]>,
  heldOut: HeldOutSets,
  publicExamples: SharedExamples | undefined,
): string {
  const digest = (examples: readonly TokenizedExample[]) => {
    const hash = createHash('sha256');
    const sequences = examples.flatMap(({ rejected, ...chosen }) =>
      rejected === undefined ? [chosen] : [chosen, rejected],
    );
    for (const { tokens, supervised, classId } of sequences)
      hash
        .update(`${tokens.length}${classId === undefined ? '' : ` of class ${classId}`} `)
        .update(tokens)
        .update(supervised);
    return hash.digest('hex');
  };
  return digestJson({
    train: [...held].map(([owner, examples]) => [owner, digest(examples)]),
    ...(publicExamples === undefined ? {} : { public: digest(viewExamples(publicExamples)) }),
    heldOut: Object.entries(heldOut).map(([split, set]) => [
      split,
      digest(set.pieces),
      set.pieceOwner.map((o) => o ?? null),
      ...(set.prompts.length === 0 ? [] : [set.prompts.map(({ tokens }) => [...tokens])]),
    ]),
  });
}
