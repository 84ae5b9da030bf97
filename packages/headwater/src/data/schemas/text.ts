/** Plain text for language modelling: every token is learnt. */

import { z } from 'zod';
import { type DataSchema, RowProblem, textColumn } from './schema.ts';

const options = z.strictObject({
  column: z
    .string()
    .default('text')
    .describe('Column of the text; text files have one column, `text`, with the whole file.'),
  separator: z
    .string()
    .min(1)
    .optional()
    .describe('Where a text is cut into several documents: an empty line, `<|endoftext|>`.'),
});

export const text: DataSchema<z.infer<typeof options>> = {
  id: 'text',
  summary: 'plain text, every token is learnt',
  options,
  toExamples(row, { column, separator }) {
    const whole = textColumn(row, column);
    const documents = separator === undefined ? [whole] : whole.split(separator);
    const written = documents.map((document) => document.trim()).filter((document) => document !== '');
    if (written.length === 0) throw new RowProblem(`column "${column}" is empty`);
    return written.map((document) => ({ kind: 'text', text: document }));
  },
};
