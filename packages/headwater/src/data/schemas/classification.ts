/** A text and the class it belongs to, for encoders with a classification head. */

import { z } from 'zod';
import { type DataSchema, RowProblem, textColumn } from './schema.ts';
import { fillTemplate } from './template.ts';

const options = z.strictObject({
  text: z
    .string()
    .default('{text}')
    .describe('What is classified, a template over columns: `{text}`, `{title}. {body}`.'),
  label: z.string().default('label').describe('Column of the class: its name, or its number from 0.'),
});

export const classification: DataSchema<z.infer<typeof options>> = {
  id: 'classification',
  summary: 'a text and its class, for encoders',
  options,
  toExamples(row, { text, label }) {
    const whole = fillTemplate(text, row);
    if (whole.trim() === '') throw new RowProblem('the text is empty');
    const name = textColumn(row, label).trim();
    if (name === '') throw new RowProblem(`column "${label}" is empty`);
    return [{ kind: 'classification', text: whole, label: name }];
  },
};
