/** Chats as Hugging Face and OpenAI write them: a column with `[{ role, content }, …]`. */

import { z } from 'zod';
import { chatExample, messagesOf } from './chat.ts';
import { type DataSchema, listColumn } from './schema.ts';

const ROLES = {
  system: 'system',
  developer: 'system',
  user: 'user',
  assistant: 'assistant',
  tool: 'tool',
};

const options = z.strictObject({
  column: z.string().default('messages').describe('Column with the list of messages (or its JSON text).'),
  roleKey: z.string().default('role').describe('Key of the role: system, developer, user, assistant, tool.'),
  contentKey: z.string().default('content').describe('Key of the text.'),
});

export const messages: DataSchema<z.infer<typeof options>> = {
  id: 'messages',
  summary: 'chats as a list of role and content',
  options,
  isChat: () => true,
  toExamples: (row, { column, roleKey, contentKey }) => [
    chatExample(messagesOf(listColumn(row, column), { roleKey, contentKey, roles: ROLES })),
  ],
};
