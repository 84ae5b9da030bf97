/** Plain text for language modelling: every token is learnt. */

import { z } from 'zod';
import { type DataSchema, RowProblem, textColumn } from './schema.ts';

const options = z.strictObject({
  /** Text files have one column, `text`, with the whole file. */
  column: z.string().default('text'),
  /** Cut the text here into several documents: `"\n\n"`, `"<|endoftext|>"`. */
  separator: z.string().min(1).optional(),
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
