/**
 * Examples and who holds them → tokens, held-out sets, and the facts about them that reports show: the pure part of preparing,
 * for runs of this machine, clients and tabs alike. It opens no files.
 */

import { HeadwaterError } from '../base/errors.ts';
import { numTokensOf } from '../data/pairs.ts';
import type { Partition } from '../data/partition/partitioner.ts';
import { type DataSummary, summarizePartition } from '../data/summary.ts';
import { type TextCodec, type TokenizeReport, tokenizeExamples } from '../data/tokenize.ts';
import type { TokenizedExample } from '../data/types.ts';
import type { OwnerCounts } from '../federation/plan.ts';
import type { Model } from '../models/model.ts';
import type { Recipe } from '../recipe/schema.ts';
import { chanceLevels } from './evaluation-set.ts';
import {
  type HeldOutParts,
  type HeldOutSets,
  prepareHeldOut,
  type TaskFacts,
  taskChoices,
  taskFacts,
} from './held-out.ts';
import { bindObjective, type RunRegistries, recordOf } from './records.ts';

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

/** What came of everybody's examples. */
export interface TokenizedParts {
  readonly held: ReadonlyMap<string, readonly TokenizedExample[]>;
  readonly heldOut: HeldOutSets;
  readonly owners: readonly OwnerCounts[];
  readonly facts: DataFacts;
}

export interface PrepareContext {
  readonly recipe: Recipe;
  readonly registries: RunRegistries;
  readonly model: Model;
  readonly codec: TextCodec;
}

/** Throws DATA_INVALID when nothing is left to learn, OPTION_INVALID. */
export function tokenizeParts(
  { recipe, registries, model, codec }: PrepareContext,
  parts: HeldOutParts,
  partition: Partition,
): TokenizedParts {
  const { examples: wanted } = bindObjective(recipe, registries);
  const options = { maxLength: recipe.data.maxLength, pairs: wanted === 'pairs' };
  const tokenized = tokenizeExamples(parts.train, codec, options);
  const held = heldByOwner(partition, tokenized);
  const heldOut = prepareHeldOut({ recipe, registries, model, codec }, parts, partition);
  return {
    held,
    heldOut,
    owners: [...held].map(([owner, examples]) => countsOf(owner, examples)),
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
