import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createConversation } from './conversation.ts';

it('a conversation keeps turns behind the system message and forgets them when told to', () => {
  const chat = createConversation('Be kind.');
  const system = { role: 'system', content: 'Be kind.' };
  expect(chat.messages()).toEqual([system]);
  expect(chat.take('Hello')).toEqual({ kind: 'turn', text: 'Hello' });
  chat.said('Hello', 'Hi.');
  chat.said('How?', 'Well.');
  const first = [system, { role: 'user', content: 'Hello' }, { role: 'assistant', content: 'Hi.' }];
  expect(chat.messages()).toHaveLength(5);
  chat.take('/undo');
  expect(chat.messages()).toEqual(first);
  chat.take('/reset');
  expect(chat.messages()).toEqual([system]);
  chat.take('/system Be brief.');
  expect(chat.messages()).toEqual([{ role: 'system', content: 'Be brief.' }]);
  chat.take('/system');
  expect(chat.messages()).toEqual([]);
});

it('lines are turns, commands, or the beginning of a longer turn', () => {
  const chat = createConversation(undefined);
  expect(chat.take('one\\')).toEqual({ kind: 'nothing' });
  expect(chat.take('two')).toEqual({ kind: 'turn', text: 'one\ntwo' });
  expect(chat.take('  ')).toEqual({ kind: 'nothing' });
  expect(chat.take('/help')).toEqual({ kind: 'help' });
  expect(chat.take('/exit')).toEqual({ kind: 'leave' });
  expect(() => chat.take('/rest')).toThrow('did you mean "reset"');
  expect(() => chat.take('/constructor')).toThrow('there is no command');
});

it('is saved as a row of chat data', () => {
  const folder = mkdtempSync(join(tmpdir(), 'chat-'));
  const file = join(folder, 'chat.jsonl');
  const chat = createConversation('Be kind.');
  chat.said('Hello', 'Hi.');
  chat.take(`/save ${file}`);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ messages: chat.messages() });
  expect(() => chat.take('/save')).toThrow('name of a file');
  expect(() => chat.take(`/save ${join(folder, 'absent/chat.jsonl')}`)).toThrow('write the conversation');
  rmSync(folder, { recursive: true });
});
