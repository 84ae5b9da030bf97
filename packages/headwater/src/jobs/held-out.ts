/** The held-out examples of a run, sampled and made ready for the recipe's evaluation tasks, and the facts about them. */

import { rng } from '../base/random.ts';
import type { Partition } from '../data/partition/partitioner.ts';
import { stratifiedSample } from '../data/split.ts';
import type { TextCodec } from '../data/tokenize.ts';
import type { Example } from '../data/types.ts';
import type { Model } from '../models/model.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { TaskContext, WritingRequest } from '../training/tasks/task.ts';
import { type EvaluationSet, prepareEvaluation } from './evaluation-set.ts';
import { assignHeldOutOwners } from './held-out-owners.ts';
import { bindTuning, type RunRegistries, recordOf } from './records.ts';
import type { TaskChoice } from './task-choice.ts';

export type HeldOutSets = Partial<Readonly<Record<'validation' | 'test', EvaluationSet>>>;

export interface HeldOutParts {
  readonly train: readonly Example[];
  readonly validation: readonly Example[];
  readonly test: readonly Example[];
  /** Solved examples and general text; nothing where the recipe names none. */
  readonly context?: TaskContext;
}

interface HeldOutSource {
  readonly recipe: Recipe;
  readonly registries: RunRegistries;
  readonly model: Model;
  readonly codec: TextCodec;
}

/** Throws what data and tasks throw. */
export function prepareHeldOut(
  { recipe, registries, model, codec }: HeldOutSource,
  parts: HeldOutParts,
  partition: Partition,
): HeldOutSets {
  const { seed, data, evaluation } = recipe;
  const { full, sampleSize, validationSampleSize, writeOn, resamples, confidence } = evaluation;
  const tasks = taskChoices(recipe, registries);
  const { maxLength } = data;
  const { context } = parts;
  const settings = {
    codec,
    maxLength,
    seed,
    resamples,
    confidence,
    ...(context === undefined ? {} : { context }),
  };
  const sets: { validation?: EvaluationSet; test?: EvaluationSet } = {};
  for (const split of ['validation', 'test'] as const) {
    if (parts[split].length === 0) continue;
    const random = rng(seed, 'held-out', split);
    const owned = assignHeldOutOwners(parts[split], parts.train, partition, random.split('owners'));
    const size = split === 'validation' ? validationSampleSize : full ? owned.length : sampleSize;
    const sample = stratifiedSample(owned, Math.min(size, owned.length), random.split('sample'));
    const examples = sample.map((position) => owned[position]!);
    const writes = split === 'test' || writeOn === 'both';
    const writing = writes ? { writing: promptLimits({ recipe, registries, model, codec }) } : {};
    sets[split] = prepareEvaluation(examples, tasks, { ...settings, ...writing });
  }
  return sets;
}

/** Tokens of a soft prompt take positions too. */
function promptLimits({ recipe, registries, model, codec }: HeldOutSource) {
  const { maxPositionEmbeddings } = model.definition.shape;
  const { virtual } = bindTuning(recipe, model.definition, registries);
  const own = codec.tokenizer.eosTokenId;
  const stopTokenIds = [...new Set([...model.eosTokenIds, ...(own === undefined ? [] : [own])])];
  return { maxTokens: maxPositionEmbeddings - (virtual?.count ?? 0), stopTokenIds };
}

export function taskChoices(recipe: Recipe, registries: Pick<RunRegistries, 'tasks'>): TaskChoice[] {
  return recipe.evaluation.tasks.map((choice) => {
    const { record: task, options } = recordOf(registries.tasks, choice);
    return { task, options };
  });
}

/**
 * How a task asked: its options with all defaults, and what stood before the first question (instruction, solved examples).
 * The question itself is data and stays out of reports.
 */
export interface TaskFacts {
  readonly kind: string;
  readonly options: unknown;
  readonly prompt?: WritingRequest['prompt'];
}

export function taskFacts(set: EvaluationSet | undefined): TaskFacts[] {
  return (set?.tasks ?? []).map(({ task, options, requests: [first] }) => {
    const example = first && set?.examples[first.example];
    const prompt = example && beforeQuestion(first.writing?.prompt ?? questionOf(first.texts[0]), example);
    return { kind: task.id, options, ...(prompt === undefined ? {} : { prompt }) };
  });
}

function questionOf(text: Example | undefined): WritingRequest['prompt'] | undefined {
  if (text?.kind === 'completion') return text.prompt;
  return text?.kind === 'chat' ? text.messages.slice(0, -1) : undefined;
}

/** Undefined where nothing stood there. */
function beforeQuestion(
  whole: WritingRequest['prompt'] | undefined,
  example: Example,
): WritingRequest['prompt'] | undefined {
  const own = questionOf(example)?.length;
  const before = own === undefined || whole === undefined ? undefined : whole.slice(0, whole.length - own);
  return before === undefined || before.length === 0 ? undefined : before;
}
