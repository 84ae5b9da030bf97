/** What is said in a chat, and the lines that are commands instead. Knows no model and no terminal. */

import { writeFileSync } from 'node:fs';
import { HeadwaterError } from '../base/errors.ts';
import { storageError } from '../base/io-errors.ts';
import { didYouMean } from '../base/suggest.ts';
import type { ChatMessage } from '../models/prompt-tokens.ts';

export const CHAT_HELP = `/reset            begin anew; the system message stays
/system <text>    another system message, and begin anew; without text: none
/undo             take back the last turn
/save <file>      write the conversation as JSON lines for training (messages)
/help             this
/exit             leave, as Ctrl-D does
\\                 at the end of a line: the turn goes on in the next one`;

export type Said =
  | { readonly kind: 'turn'; readonly text: string }
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'help' | 'leave' | 'nothing' };

export interface Conversation {
  /** One line as it was typed. Throws OPTION_INVALID for unknown commands, STORAGE_FAILED when a file cannot be written. */
  take(line: string): Said;
  messages(): readonly ChatMessage[];
  said(question: string, answer: string): void;
}

export function createConversation(firstSystem: string | undefined): Conversation {
  let system = firstSystem;
  let turns: ChatMessage[] = [];
  let begun = '';
  const messages = () => [
    ...(system === undefined || system === '' ? [] : [{ role: 'system', content: system }]),
    ...turns,
  ];
  const note = (text: string): Said => ({ kind: 'note', text });
  const commands: Readonly<Record<string, (rest: string) => Said>> = {
    reset() {
      turns = [];
      return note('a new conversation');
    },
    system(text) {
      system = text;
      turns = [];
      return note(text === '' ? 'no system message, a new conversation' : 'a new conversation');
    },
    undo() {
      turns = turns.slice(0, -2);
      return note('the last turn is taken back');
    },
    save(file) {
      save(file, messages());
      return note(`saved ${turns.length / 2} turns to ${file}`);
    },
    help: () => ({ kind: 'help' }),
    exit: () => ({ kind: 'leave' }),
  };
  return {
    take(line) {
      if (line.endsWith('\\')) {
        begun += `${line.slice(0, -1)}\n`;
        return { kind: 'nothing' };
      }
      const text = begun + line;
      begun = '';
      const command = /^\/(\w+)\s*(.*)$/s.exec(text);
      if (command === null) return text.trim() === '' ? { kind: 'nothing' } : { kind: 'turn', text };
      const [, name, rest] = command as unknown as [string, string, string];
      if (!Object.hasOwn(commands, name))
        throw new HeadwaterError(
          'OPTION_INVALID',
          `there is no command /${name}; ${didYouMean(name, Object.keys(commands))}`,
        );
      return commands[name]!(rest);
    },
    messages,
    said(question, answer) {
      turns = [...turns, { role: 'user', content: question }, { role: 'assistant', content: answer }];
    },
  };
}

function save(file: string, messages: readonly ChatMessage[]): void {
  if (file === '') throw new HeadwaterError('OPTION_INVALID', '/save needs the name of a file');
  try {
    writeFileSync(file, `${JSON.stringify({ messages })}\n`);
  } catch (cause) {
    throw storageError(cause, 'write the conversation', file);
  }
}
