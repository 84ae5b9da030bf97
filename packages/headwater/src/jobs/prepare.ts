/**
 * A recipe → everything a run needs before its first step: the model folder, each owner's training examples in shared
 * memory, the held-out sets, and the facts about them that reports show. It trains nothing and writes nothing.
 */

import { createHash } from 'node:crypto';
import { digestJson } from '../base/canonical.ts';
import { HeadwaterError } from '../base/errors.ts';
import { loadDataset } from '../data/dataset-node.ts';
import { numTokensOf } from '../data/pairs.ts';
import type { Partition } from '../data/partition/partitioner.ts';
import { partitionExamples } from '../data/partition/registry.ts';
import { stratifiedSplit } from '../data/split.ts';
import { type DataSummary, summarizePartition } from '../data/summary.ts';
import { type TextCodec, type TokenizeReport, tokenizeExamples } from '../data/tokenize.ts';
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
import { chanceLevels } from './evaluation-set.ts';
import {
  type HeldOutParts,
  type HeldOutSets,
  loadTaskContext,
  prepareHeldOut,
  type TaskFacts,
  taskChoices,
  taskFacts,
} from './held-out.ts';
import { requireConsent } from './programs/consent.ts';
import type { OnProgress, Progress } from './progress.ts';
import { loadPublicExamples } from './public-data.ts';
import { bindObjective, type RunRegistries, recordOf } from './records.ts';
import { type SharedExamples, shareExamples, viewExamples } from './shared-examples.ts';

/** Numbers about the data, as they are kept with the run and shown in reports. */
export interface DataFacts {
  readonly summary: DataSummary;
  readonly tokenization: TokenizeReport;
  readonly heldOut: Partial<
    Readonly<
      Record<
        'validation' | 'test',
        {
          readonly numExamples: number;
          readonly available: number;
          readonly leftOut: number;
          /** Of evaluation tasks: prompts that lost tokens from their left, answers from their right. */
          readonly textsCut?: number;
        }
      >
    >
  >;
  /** What guessing gets on the test set, by metric. */
  readonly chance: Readonly<Record<string, number>>;
  /** Figures of the evaluation; the first metric of the recipe's first task is the one that tables show. */
  readonly metrics: readonly {
    readonly id: string;
    readonly summary: string;
    readonly higherIsBetter: boolean;
    readonly comparedWithBase?: boolean;
  }[];
  readonly mainMetric: string;
  /** How the tasks asked; absent where nobody saw all examples. */
  readonly tasks?: readonly TaskFacts[];
}

export interface PreparedRun {
  readonly recipe: Recipe;
  readonly model: Model;
  readonly modelDigest: string;
  readonly owners: readonly OwnerCounts[];
  readonly train: ReadonlyMap<string, SharedExamples>;
  readonly heldOut: HeldOutSets;
  /** Of `data.public`; undefined: none, or not here. */
  readonly publicExamples?: SharedExamples | undefined;
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
  return prepareParts(context, parts, partition, publicExamples);
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

export interface PrepareContext {
  readonly recipe: Recipe;
  readonly registries: RunRegistries;
  readonly model: Model;
  readonly codec: TextCodec;
}

/** Examples and who holds them → a run that can begin. */
export async function prepareParts(
  { recipe, registries, model, codec }: PrepareContext,
  parts: HeldOutParts,
  partition: Partition,
  publicExamples?: SharedExamples,
): Promise<PreparedRun> {
  const { examples: wanted } = bindObjective(recipe, registries);
  const options = { maxLength: recipe.data.maxLength, pairs: wanted === 'pairs' };
  const tokenized = tokenizeExamples(parts.train, codec, options);
  const held = heldByOwner(partition, tokenized);
  const heldOut = prepareHeldOut({ recipe, registries, model, codec }, parts, partition);
  return {
    recipe,
    model,
    modelDigest: await model.digest(),
    owners: [...held].map(([owner, examples]) => countsOf(owner, examples)),
    train: new Map([...held].map(([owner, examples]) => [owner, shareExamples(examples)])),
    heldOut,
    publicExamples,
    dataDigest: digestOf(held, heldOut, publicExamples),
    facts: {
      summary: summarizePartition(parts.train, partition, tokenized),
      tokenization: tokenized.report,
      heldOut: sizesOf(heldOut, parts),
      chance: chanceLevels(taskChoices(recipe, registries), parts.test),
      ...metricsOf(recipe, registries),
      tasks: taskFacts(heldOut.test ?? heldOut.validation),
    },
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

/** Owners whose examples all lost their targets to maxLength do not take part. */
function heldByOwner(
  partition: Partition,
  {
    tokenized,
    source,
  }: { readonly tokenized: readonly TokenizedExample[]; readonly source: readonly number[] },
): Map<string, TokenizedExample[]> {
  const ownerOf = new Map(
    [...partition].flatMap(([owner, positions]) => positions.map((p) => [p, owner] as const)),
  );
  const held = new Map<string, TokenizedExample[]>();
  for (const owner of [...partition.keys()].sort()) held.set(owner, []);
  for (const [i, example] of tokenized.entries()) held.get(ownerOf.get(source[i]!)!)!.push(example);
  for (const [owner, examples] of held) if (examples.length === 0) held.delete(owner);
  if (held.size > 0) return held;
  throw new HeadwaterError('DATA_INVALID', 'no training example has a target left', {
    hint: 'Raise data.maxLength, or check the schema: only completions and assistant messages are learnt.',
  });
}

function countsOf(owner: string, examples: readonly TokenizedExample[]): OwnerCounts {
  const numTokens = examples.reduce((sum, example) => sum + numTokensOf(example), 0);
  return { owner, numExamples: examples.length, numTokens };
}

function sizesOf(heldOut: HeldOutSets, parts: HeldOutParts): DataFacts['heldOut'] {
  const entries = (['validation', 'test'] as const).flatMap((split) => {
    const set = heldOut[split];
    if (set === undefined) return [];
    const { examples, leftOut, textsCut } = set;
    return [[split, { numExamples: examples.length, available: parts[split].length, leftOut, textsCut }]];
  });
  return Object.fromEntries(entries);
}

/** Figures that the recipe's tasks give, and the one that tables show. */
export function metricsOf(
  recipe: Recipe,
  registries: RunRegistries,
): Pick<DataFacts, 'metrics' | 'mainMetric'> {
  const tasks = recipe.evaluation.tasks.map((choice) => recordOf(registries.tasks, choice).record);
  const metrics = tasks.flatMap((task) => [...task.metrics]);
  const loss = { id: 'loss', summary: 'nats per supervised token', higherIsBetter: false };
  return {
    metrics: metrics.some(({ id }) => id === 'loss') ? metrics : [...metrics, loss],
    mainMetric: tasks[0]!.metrics[0].id,
  };
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
