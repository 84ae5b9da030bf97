/** Chats as ShareGPT exports write them: a column with `[{ from: 'human' | 'gpt' | …, value }, …]`. */

import { z } from 'zod';
import { chatExample, messagesOf } from './chat.ts';
import { type DataSchema, listColumn, optionalText } from './schema.ts';

const ROLES = {
  system: 'system',
  human: 'user',
  user: 'user',
  gpt: 'assistant',
  assistant: 'assistant',
  chatgpt: 'assistant',
  bard: 'assistant',
  bing: 'assistant',
  model: 'assistant',
  function_call: 'assistant',
  observation: 'tool',
  tool: 'tool',
};

const options = z.strictObject({
  column: z.string().default('conversations'),
  roleKey: z.string().default('from'),
  contentKey: z.string().default('value'),
  /** Column of an optional system message. */
  systemColumn: z.string().default('system'),
});

export const sharegpt: DataSchema<z.infer<typeof options>> = {
  id: 'sharegpt',
  summary: 'chats as a list of from and value (ShareGPT)',
  options,
  toExamples(row, { column, roleKey, contentKey, systemColumn }) {
    const turns = messagesOf(listColumn(row, column), { roleKey, contentKey, roles: ROLES });
    const system = optionalText(row, systemColumn);
    return [chatExample(system.trim() === '' ? turns : [{ role: 'system', content: system }, ...turns])];
  },
};
