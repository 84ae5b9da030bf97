/** The section `data` of a recipe: the files of a run, how a row becomes an example, and who is whose. */

import { z } from 'zod';
import { fraction, positiveInt, record } from './schema-parts.ts';

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

export const data = z.strictObject({
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
