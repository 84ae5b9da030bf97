/** Instruction, optional input, output: the columns and the prompt of Stanford Alpaca (tatsu-lab/stanford_alpaca). */

import { z } from 'zod';
import { type DataSchema, optionalText, RowProblem, textColumn } from './schema.ts';

const WITH_INPUT =
  'Below is an instruction that describes a task, paired with an input that provides further context. ' +
  'Write a response that appropriately completes the request.\n\n';
const WITHOUT_INPUT =
  'Below is an instruction that describes a task. ' +
  'Write a response that appropriately completes the request.\n\n';

const options = z.strictObject({
  instruction: z.string().default('instruction').describe('Column of the instruction.'),
  input: z
    .string()
    .default('input')
    .describe('Column of the optional input; may be absent or empty in a row.'),
  output: z.string().default('output').describe('Column of the answer.'),
  chat: z
    .boolean()
    .default(false)
    .describe("Write it as a chat in the model's own template instead of Alpaca's prompt."),
});

export const alpaca: DataSchema<z.infer<typeof options>> = {
  id: 'alpaca',
  summary: 'instruction, input and output columns (Stanford Alpaca)',
  options,
  isChat: ({ chat }) => chat,
  toExamples(row, columns) {
    const instruction = textColumn(row, columns.instruction);
    const input = optionalText(row, columns.input);
    const output = textColumn(row, columns.output);
    if (output.trim() === '') throw new RowProblem(`column "${columns.output}" is empty`);
    if (columns.chat) return [chatOf(instruction, input, output)];
    return [{ kind: 'completion', prompt: alpacaPrompt(instruction, input), completion: output }];
  },
};

function alpacaPrompt(instruction: string, input: string): string {
  const body = `### Instruction:\n${instruction}\n\n`;
  return input.trim() === ''
    ? `${WITHOUT_INPUT}${body}### Response:\n`
    : `${WITH_INPUT}${body}### Input:\n${input}\n\n### Response:\n`;
}

function chatOf(instruction: string, input: string, output: string) {
  const question = input.trim() === '' ? instruction : `${instruction}\n\n${input}`;
  return {
    kind: 'chat' as const,
    messages: [
      { role: 'user', content: question },
      { role: 'assistant', content: output },
    ],
  };
}
