/** A prompt and what the model shall write, each a template over columns; as plain text or through the chat template. */

import { z } from 'zod';
import { type DataSchema, RowProblem } from './schema.ts';
import { fillTemplate } from './template.ts';

const options = z.strictObject({
  /** Columns in braces: `"Intent of: {text}"`. */
  prompt: z.string().default('{prompt}'),
  completion: z.string().default('{completion}'),
  /** System message; with `chat: false` it stands before the prompt. */
  system: z.string().optional(),
  /** Write both as a chat of user and assistant, in the model's own template. */
  chat: z.boolean().default(false),
});

export const promptCompletion: DataSchema<z.infer<typeof options>> = {
  id: 'prompt-completion',
  summary: 'prompt and completion from templates over columns',
  options,
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
