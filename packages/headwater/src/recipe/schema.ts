/**
 * The recipe: everything that defines a run, as a user writes it (YAML) and as it is kept in the run folder (resolved).
 * Parts that belong to a record (a method, a PEFT kind, a task, a partitioner) are checked by that record's own zod
 * schema, so that adding a record needs no line here. Unknown keys are mistakes. The descriptions make docs/recipe.md.
 */

import { z } from 'zod';
import { DEVICES } from '../runtime/executor.ts';
import { accountability } from './accountability.ts';
import { privacy } from './privacy-schema.ts';
import { gate, releaseVote } from './release-schema.ts';

const positiveInt = z.int().positive();
const fraction = z.number().min(0).max(1);

/** `{ kind: 'lora', rank: 16, … }`: `kind` picks the record, the rest is parsed by the record. */
const record = z.looseObject({ kind: z.string() });

const dataSource = z.strictObject({
  files: z
    .union([z.string(), z.array(z.string()).min(1)])
    .describe(
      'File or files, relative to the recipe: .jsonl, .json, .csv, .tsv, .parquet, .txt, each also as .gz.',
    ),
  format: z
    .enum(['jsonl', 'json', 'csv', 'tsv', 'parquet', 'text'])
    .optional()
    .describe('Where the ending of the file does not say it.'),
});

const data = z.strictObject({
  train: dataSource.describe('What the owners hold and train on.'),
  validation: dataSource.optional().describe('Scored after rounds: curves, early stopping, the best round.'),
  test: dataSource.optional().describe('Scored once, at the end: the figures of the table.'),
  schema: record.describe('How a row becomes an example.'),
  shots: dataSource
    .optional()
    .describe(
      'Solved examples for the prompts of evaluation tasks, in the same schema; never trained on or scored.',
    ),
  general: dataSource
    .extend({
      schema: record.default({ kind: 'text' }).describe('How a row becomes a text.'),
    })
    .optional()
    .describe('Text that has nothing to do with the task, for the task forgetting.'),
  public: dataSource
    .extend({
      schema: record.optional().describe('How a row becomes an example. Default: that of data.schema.'),
    })
    .optional()
    .describe(
      'Texts that everybody may see, for methods that learn from what models say about them; only where the run is led, never an owner’s.',
    ),
  ownerColumn: z.string().optional().describe('Column that names the owner of a row.'),
  ownerByFile: z.boolean().default(false).describe('The owner is the name of the file, without its endings.'),
  groupColumn: z
    .string()
    .optional()
    .describe(
      'Column of subjects or categories: figures are also told by it, solved examples are taken from the same.',
    ),
  groupByFile: z
    .boolean()
    .default(false)
    .describe(
      'The group is the name of the file, without its endings and the name of its split (`_test`, `_dev`).',
    ),
  labelColumn: z
    .string()
    .optional()
    .describe('Column of classes: for label-skew partitions, stratified samples and chance levels.'),
  optionsColumn: z
    .string()
    .optional()
    .describe('Column with the list of answers to choose from: for multiple-choice with choices: example.'),
  maxLength: positiveInt
    .default(512)
    .describe('Longest sequence in tokens; longer examples are cut and counted.'),
  packing: z
    .boolean()
    .default(false)
    .describe('Put several short examples into one row of a batch; they do not see each other.'),
  validationFraction: fraction
    .default(0)
    .describe(
      'Share of train that becomes validation, where no file is given; stratified by owner and label.',
    ),
  testFraction: fraction.default(0).describe('Share of train that becomes test, where no file is given.'),
});

const optimizer = z.strictObject({
  kind: z.enum(['adamw', 'sgd']).default('adamw'),
  learningRate: z.number().positive(),
  beta1: fraction.default(0.9).describe('AdamW.'),
  beta2: fraction.default(0.999).describe('AdamW.'),
  epsilon: z.number().positive().default(1e-8).describe('AdamW.'),
  weightDecay: z.number().nonnegative().default(0).describe('Decoupled from the gradient.'),
  momentum: fraction.default(0).describe('SGD.'),
});

const schedule = z.strictObject({
  kind: z.enum(['constant', 'linear', 'cosine']).default('constant').describe('Spans all rounds.'),
  warmupSteps: z.int().nonnegative().default(0),
  minFactor: fraction
    .default(0)
    .describe('Share of the learning rate left at the end of linear and cosine decay.'),
});

const training = z.strictObject({
  objective: record
    .optional()
    .describe(
      'What is minimised. Default: language-modelling; preference objectives learn from pairs of answers.',
    ),
  optimizer: optimizer.describe('Starts fresh on each client in each round.'),
  schedule: schedule.prefault({}).describe('Of the learning rate.'),
  batchSize: positiveInt.describe('Examples per optimizer step.'),
  microBatchSize: positiveInt
    .optional()
    .describe('Examples per forward and backward pass; gradients are accumulated. Default: batchSize.'),
  recompute: z
    .boolean()
    .default(false)
    .describe(
      'Compute the inside of each block again in the backward pass instead of keeping it: the same bits, less memory, about a third more time.',
    ),
  maxGradNorm: z
    .number()
    .positive()
    .optional()
    .describe('Clip the global norm of the gradient to this. Default: no clipping.'),
});

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

const mode = z.strictObject({
  kind: z
    .enum(['synchronous', 'buffered'])
    .default('synchronous')
    .describe(
      'synchronous: all owners of a round train from the same params. buffered (FedBuff): each owner trains from the latest params it met, slow ones hold nobody up; for `headwater serve` only.',
    ),
  bufferSize: positiveInt
    .optional()
    .describe(
      'buffered: so many accepted updates make the next params; `rounds` counts these. cohortSize owners train at any time.',
    ),
  maxStaleness: z
    .int()
    .nonnegative()
    .default(10)
    .describe('buffered: an update counts while its params are at most so many versions old.'),
  stalenessExponent: z
    .number()
    .nonnegative()
    .default(0.5)
    .describe('buffered: an update that is τ versions old counts (1 + τ)^−stalenessExponent.'),
});

const federation = z.strictObject({
  method: record.default({ kind: 'fedavg' }).describe('The federated method.'),
  mode: mode.prefault({}).describe('How rounds and owners wait for each other.'),
  rounds: positiveInt,
  cohortSize: positiveInt.optional().describe('Owners sampled for each round. Default: all.'),
  selection: record
    .default({ kind: 'uniform' })
    .describe('How the owners of a round are chosen, where not all are asked.'),
  overSelection: z
    .number()
    .min(1)
    .default(1)
    .describe(
      'A deployment asks cohortSize · overSelection owners (rounded up) and counts the cohortSize that answer first. `headwater run`, where nobody is late, asks cohortSize.',
    ),
  quorum: positiveInt
    .optional()
    .describe(
      'Updates needed to close a round: the fewest that are ever averaged. Default: the cohort; buffered: bufferSize.',
    ),
  compression: record.default({ kind: 'none' }).describe('What the updates travel as.'),
  robust: record
    .optional()
    .describe(
      'What takes the place of the mean where some owners may send anything. For methods that average. Default: nothing; `none` is the same.',
    ),
  maxUpdateNorm: z
    .number()
    .positive()
    .optional()
    .describe('An update whose 2-norm is larger is refused. Default: any length.'),
  ...accountability,
  localSteps: positiveInt.describe('Optimizer steps of each client in each round.'),
  localEpochs: z
    .number()
    .positive()
    .optional()
    .describe(
      'An owner takes no more steps in a round than so many passes over its examples, rounded up: owners with few take fewer than localSteps. Default: all take localSteps.',
    ),
  weighting: z
    .enum(['examples', 'tokens', 'uniform'])
    .default('examples')
    .describe('What a client counts by in the average.'),
  serverLearningRate: z.number().positive().default(1).describe('The averaged update is multiplied by this.'),
  fixedPoint: z
    .strictObject({
      fractionBits: z
        .int()
        .min(8)
        .max(40)
        .optional()
        .describe(
          'An update is rounded to multiples of 2^−fractionBits. Default: 30; with privacy.secureAggregation as many as 32-bit sums hold.',
        ),
      range: z
        .number()
        .positive()
        .optional()
        .describe(
          'Largest magnitude that can be represented; larger values are clamped, counted and reported. Default: 8; with privacy.secureAggregation 1.',
        ),
    })
    .prefault({})
    .describe('Updates are summed exactly, as integers, so that no order or retry changes a bit.'),
  earlyStopping: z
    .strictObject({
      patienceRounds: positiveInt.describe('Stop after so many validations without improvement.'),
      minDelta: z
        .number()
        .nonnegative()
        .default(0)
        .describe('What counts as an improvement of the validation loss.'),
    })
    .optional()
    .describe('Needs validation data. Default: all rounds are run.'),
  keepBest: z
    .boolean()
    .default(false)
    .describe('Keep the adapter of the round with the lowest validation loss instead of the last.'),
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

/** Of owners in a deployment: what the wire takes. */
const ownerName = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9_-]|\.(?=[a-z0-9_-])){0,62}$/,
    'lower-case letters, digits, dots, dashes; at most 63',
  );

const deployment = z.strictObject({
  minOwners: positiveInt
    .optional()
    .describe(
      'The run begins when so many owners have joined; later ones take part from then on. Default: all of `owners`, else cohortSize (buffered: bufferSize), else 2.',
    ),
  owners: z
    .array(ownerName)
    .min(1)
    .optional()
    .describe('Who may join, by the names on their join tokens. Default: whoever has a token.'),
  deadlineSeconds: z
    .number()
    .positive()
    .max(30 * 86_400)
    .default(3600)
    .describe(
      'A round that has its quorum closes after this time; one that has not asks again, and others too.',
    ),
  evaluationDeadlineSeconds: z
    .number()
    .positive()
    .max(30 * 86_400)
    .default(1800)
    .describe('Scores of owners that come later are left out.'),
  quarantineAfter: positiveInt
    .default(3)
    .describe('An owner is not asked any more after so many refused updates, until the operator pardons it.'),
  releaseVote: releaseVote
    .optional()
    .describe(
      'Owners score a round on their own held-out examples, in signed messages, and are for it when their loss is no larger than with the release before. Only rounds with enough weight for them are released. `headwater run` counts the same votes. Needs validation data. Default: no vote.',
    ),
  tabWeights: z
    .enum(['exact', 'float16'])
    .optional()
    .describe(
      'Base weights in browser tabs. exact: as the checkpoint has them, on WebGPU widened to float32. float16: large matrices rounded to float16, half of float32; blocks of `quantization` stay what they are. Default: exact.',
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
