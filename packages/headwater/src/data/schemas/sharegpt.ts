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
  column: z.string().default('conversations').describe('Column with the list of turns (or its JSON text).'),
  roleKey: z.string().default('from').describe('Key of the speaker: human, gpt, system and their relatives.'),
  contentKey: z.string().default('value').describe('Key of the text.'),
  systemColumn: z.string().default('system').describe('Column of an optional system message.'),
});

export const sharegpt: DataSchema<z.infer<typeof options>> = {
  id: 'sharegpt',
  summary: 'chats as a list of from and value (ShareGPT)',
  options,
  isChat: () => true,
  toExamples(row, { column, roleKey, contentKey, systemColumn }) {
    const turns = messagesOf(listColumn(row, column), { roleKey, contentKey, roles: ROLES });
    const system = optionalText(row, systemColumn);
    return [chatExample(system.trim() === '' ? turns : [{ role: 'system', content: system }, ...turns])];
  },
};
