/** A prompt and what the model shall write, each a template over columns; as plain text or through the chat template. */

import { z } from 'zod';
import { type DataSchema, RowProblem } from './schema.ts';
import { fillTemplate } from './template.ts';

const options = z.strictObject({
  prompt: z
    .string()
    .default('{prompt}')
    .describe('Text with columns in braces: `Intent of: {text}`. `{{` and `}}` are plain braces.'),
  completion: z.string().default('{completion}').describe('What the model shall write; columns in braces.'),
  system: z
    .string()
    .optional()
    .describe('System message; with `chat: false` it stands right before the prompt. Columns in braces.'),
  chat: z
    .boolean()
    .default(false)
    .describe("Write prompt and completion as a chat of user and assistant, in the model's own template."),
});

export const promptCompletion: DataSchema<z.infer<typeof options>> = {
  id: 'prompt-completion',
  summary: 'prompt and completion from templates over columns',
  options,
  isChat: ({ chat }) => chat,
  toExamples(row, { prompt, completion, system, chat }) {
    const question = fillTemplate(prompt, row);
    const answer = fillTemplate(completion, row);
    if (answer.trim() === '') throw new RowProblem('the completion is empty, there is nothing to learn');
    const head = system === undefined ? undefined : fillTemplate(system, row);
    if (!chat) return [{ kind: 'completion', prompt: (head ?? '') + question, completion: answer }];
    return [
      {
        kind: 'chat',
        messages: [
          ...(head === undefined ? [] : [{ role: 'system', content: head }]),
          { role: 'user', content: question },
          { role: 'assistant', content: answer },
        ],
      },
    ];
  },
};
