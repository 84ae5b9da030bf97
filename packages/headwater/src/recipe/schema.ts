/**
 * The recipe: everything that defines a run, as a user writes it (YAML) and as it is kept in the run folder (resolved).
 * Parts that belong to a record (a method, a PEFT kind, a task, a partitioner) are checked by that record's own zod
 * schema, so that adding a record needs no line here. Unknown keys are mistakes.
 */

import { z } from 'zod';
import { DEVICES } from '../runtime/executor.ts';

const positiveInt = z.int().positive();
const fraction = z.number().min(0).max(1);

/** `{ kind: 'lora', rank: 16, … }`: `kind` picks the record, the rest is parsed by the record. */
const record = z.looseObject({ kind: z.string() });

const dataSource = z.strictObject({
  /** File or files (glob-free), relative to the recipe: .jsonl, .json, .csv, .tsv, .parquet, .txt; `.gz` allowed. */
  files: z.union([z.string(), z.array(z.string()).min(1)]),
  format: z.enum(['jsonl', 'json', 'csv', 'tsv', 'parquet', 'text']).optional(),
});

export const recipeShape = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9-]*$/, 'lower-case letters, digits and dashes'),
  description: z.string().optional(),
  seed: z.int().nonnegative().default(0),
  /** Folder (relative to the recipe) or hub id `owner/name[@revision]`. */
  model: z.string(),
  /** PEFT folder to start from instead of fresh adapter tensors. */
  adapter: z.string().optional(),
  device: z.enum(DEVICES).default('cpu'),
  /** Threads inside one session; fixed, because other counts may change bits. */
  threadsPerSession: positiveInt.default(1),
  /** Simulation workers; changes no bit. */
  workers: z.union([z.literal('auto'), positiveInt]).default('auto'),
  plugins: z.array(z.string()).default([]),
  data: z.strictObject({
    train: dataSource,
    validation: dataSource.optional(),
    test: dataSource.optional(),
    /** How a row becomes an example: prompt-completion, alpaca, messages, sharegpt, text. */
    schema: record,
    /** Column that names the owner; with `ownerByFile` the file name does. */
    ownerColumn: z.string().optional(),
    ownerByFile: z.boolean().default(false),
    labelColumn: z.string().optional(),
    maxLength: positiveInt.default(512),
    packing: z.boolean().default(false),
    /** Split this fraction of train off for validation / test when no file is given (stratified by owner and label). */
    validationFraction: fraction.default(0),
    testFraction: fraction.default(0),
  }),
  partition: record.default({ kind: 'natural' }),
  tuning: record,
  training: z.strictObject({
    optimizer: z.strictObject({
      kind: z.enum(['adamw', 'sgd']).default('adamw'),
      learningRate: z.number().positive(),
      beta1: fraction.default(0.9),
      beta2: fraction.default(0.999),
      epsilon: z.number().positive().default(1e-8),
      weightDecay: z.number().nonnegative().default(0),
      momentum: fraction.default(0),
    }),
    schedule: z
      .strictObject({
        kind: z.enum(['constant', 'linear', 'cosine']).default('constant'),
        warmupSteps: z.int().nonnegative().default(0),
        minFactor: fraction.default(0),
      })
      .prefault({}),
    batchSize: positiveInt,
    microBatchSize: positiveInt.optional(),
    maxGradNorm: z.number().positive().optional(),
  }),
  federation: z.strictObject({
    method: record.default({ kind: 'fedavg' }),
    rounds: positiveInt,
    /** Clients per round; omitted: all. */
    cohortSize: positiveInt.optional(),
    /** Updates needed to close a round; omitted: the cohort. */
    quorum: positiveInt.optional(),
    localSteps: positiveInt,
    weighting: z.enum(['examples', 'tokens', 'uniform']).default('examples'),
    serverLearningRate: z.number().positive().default(1),
    fixedPoint: z
      .strictObject({
        /** Fractional bits f: an update is rounded to multiples of 2^−f. */
        fractionBits: z.int().min(8).max(40).default(30),
        /** Largest |update| that can be represented; larger values are clamped, counted and reported. */
        range: z.number().positive().default(8),
      })
      .prefault({}),
    earlyStopping: z
      .strictObject({ patienceRounds: positiveInt, minDelta: z.number().nonnegative().default(0) })
      .optional(),
    /** Keep the adapter of the round with the best validation loss instead of the last. */
    keepBest: z.boolean().default(false),
  }),
  baselines: z
    .strictObject({ localOnly: z.boolean().default(true), centralised: z.boolean().default(true) })
    .prefault({}),
  evaluation: z.strictObject({
    /** Tasks by id: exact-match, perplexity, token-accuracy, multiple-choice … */
    tasks: z.array(record).min(1),
    everyRounds: positiveInt.default(1),
    /** Rows of the stratified test sample; `full: true` takes all. */
    sampleSize: positiveInt.default(1000),
    full: z.boolean().default(false),
    /** Rows of the validation sample used during the run. */
    validationSampleSize: positiveInt.default(200),
    batchSize: positiveInt.default(16),
  }),
});

/** A recipe with all defaults filled in; record parts still carry their own parsed options. */
export type Recipe = z.infer<typeof recipeShape>;
export type RecipeInput = z.input<typeof recipeShape>;
