/**
 * The recipe: everything that defines a run, as a user writes it (YAML) and as it is kept in the run folder (resolved).
 * Parts that belong to a record (a method, a PEFT kind, a task, a partitioner) are checked by that record's own zod
 * schema, so that adding a record needs no line here. Unknown keys are mistakes. The descriptions make docs/recipe.md.
 */

import { z } from 'zod';
import { DEVICES } from '../runtime/executor.ts';
import { data } from './data-schema.ts';
import { deployment } from './deployment-schema.ts';
import { federation } from './federation-schema.ts';
import { privacy } from './privacy-schema.ts';
import { gate } from './release-schema.ts';
import { positiveInt, record } from './schema-parts.ts';
import { training } from './training-schema.ts';

export const quantization = z.strictObject({
  kind: z
    .enum(['none', 'int8', 'int4'])
    .default('none')
    .describe(
      'int8, int4: the linear modules of the blocks are read as small integers, a quarter or an eighth of float32, and expanded for each product. Made once, by `headwater quantize` beside the model or by the first run in the cache. Part of the model that clients agree on.',
    ),
  blockSize: z
    .union([z.literal(32), z.literal(64)])
    .default(32)
    .describe('Weights that share a scale and a zero point.'),
  folder: z
    .string()
    .optional()
    .describe('What `headwater quantize --out` wrote. Default: what lies beside the model, else the cache.'),
});

const baselines = z.strictObject({
  localOnly: z.boolean().default(true).describe('Each owner trains alone.'),
  centralised: z
    .boolean()
    .default(true)
    .describe('One training on the pooled data, which no federation could do.'),
});

const evaluation = z.strictObject({
  tasks: z
    .array(record)
    .min(1)
    .describe('What is measured; the first metric of the first task is the one tables show.'),
  everyRounds: positiveInt.default(1).describe('Validate after every so many rounds.'),
  sampleSize: positiveInt.default(1000).describe('Rows of the test sample, stratified by owner and label.'),
  full: z.boolean().default(false).describe('Take all test rows (`--full`).'),
  validationSampleSize: positiveInt.default(200).describe('Rows of the validation sample.'),
  batchSize: positiveInt.default(16).describe('Sequences scored or written at once.'),
  writeOn: z
    .enum(['test', 'both'])
    .default('test')
    .describe(
      'Where tasks that let the model write are done; both: on validation rows too, which takes its time.',
    ),
  resamples: z
    .int()
    .nonnegative()
    .default(1000)
    .describe('Of the percentile bootstrap behind confidence intervals, seeded; 0: no intervals.'),
  confidence: z.number().min(0.5).lt(1).default(0.95).describe('Of the intervals.'),
  gate: gate
    .optional()
    .describe(
      'Rounds whose validation fails it are not released: the result is the last that passes, or what the run began from. Training goes on. Needs validation data. Default: none.',
    ),
});

export const recipeShape = z.strictObject({
  version: z
    .literal(1)
    .default(1)
    .describe(
      'Format of this file. A newer Headwater reads older formats, an older one says that it is too old.',
    ),
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]*$/, 'lower-case letters, digits and dashes')
    .describe('Also the name of the run folder.'),
  description: z.string().optional(),
  seed: z.int().nonnegative().default(0).describe('Every random choice of the run follows from it.'),
  model: z.string().describe('Folder, relative to the recipe, or hub id `owner/name[@revision]`.'),
  labels: z
    .array(z.string().min(1))
    .min(2)
    .optional()
    .describe(
      'Encoders: the classes, in the order of their numbers. Names those of the model’s head; other classes than the model’s put a fresh head in its place. Default: those of the model; for a model without head those of the data, which only `headwater run` can see all.',
    ),
  adapter: z.string().optional().describe('PEFT folder to start from instead of fresh adapter tensors.'),
  device: z.enum(DEVICES).default('cpu'),
  frozenWeights: z
    .enum(['mapped', 'packed'])
    .default('mapped')
    .describe(
      'mapped: workers share the pages of the checkpoint files. packed: each worker repacks its own copy for the kernels: about a seventh faster, up to twice the float32 weights in memory per worker, and other last bits.',
    ),
  quantization: quantization.prefault({}).describe('Base weights in fewer bits.'),
  threadsPerSession: positiveInt
    .default(1)
    .describe('Threads inside one session. Fixed, because another number may change the last bits.'),
  replicas: positiveInt
    .default(1)
    .describe(
      'Passes of a training step that a worker does side by side, each in a session of its own (with training.microBatchSize): faster than more threads in one session where fewer owners train than there are cores. Their number changes no bit.',
    ),
  workers: z
    .union([z.literal('auto'), positiveInt])
    .default('auto')
    .describe('Worker threads that play the clients; their number changes no bit. auto: one a core.'),
  plugins: z
    .array(z.string())
    .default([])
    .describe(
      'Modules, relative to the recipe, whose methods, compressions, tuning kinds, tasks, partitioners and schemas join.',
    ),
  data,
  partition: record.default({ kind: 'natural' }).describe('Who holds what.'),
  tuning: record.describe('What is trained.'),
  training,
  federation,
  privacy: privacy
    .optional()
    .describe(
      'Differential privacy. In `headwater run` the noise follows from the seed: the result is stamped SIMULATED and claims no ε. Default: none.',
    ),
  deployment: deployment
    .prefault({})
    .describe('For `headwater serve`; `headwater run` checks it and does not need it.'),
  simulation: z
    .strictObject({
      attack: record
        .optional()
        .describe(
          'What some owners do instead of what they should; the result is stamped ATTACKED (SIMULATED).',
        ),
    })
    .optional()
    .describe('For `headwater run` only; `headwater serve` refuses it.'),
  baselines: baselines
    .prefault({})
    .describe('Trained beside the federation, on as many tokens, to compare with.'),
  evaluation,
});

/** A recipe with all defaults filled in; record parts still carry their own parsed options. */
export type Recipe = z.infer<typeof recipeShape>;
/** A recipe as a caller writes it in code: defaults may be left out. */
export type RecipeInput = z.input<typeof recipeShape>;
