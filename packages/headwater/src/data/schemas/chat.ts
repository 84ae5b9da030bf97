/** Lists of messages with a role and a text: the common part of the chat schemas. */

import { didYouMean } from '../../base/suggest.ts';
import type { ChatMessage } from '../types.ts';
import { type ExampleBody, kindOf, RowProblem, type RowValues } from './schema.ts';

export interface ChatKeys {
  readonly roleKey: string;
  readonly contentKey: string;
  /** Role in the data → role for the chat template. */
  readonly roles: Readonly<Record<string, string>>;
}

export function messagesOf(list: readonly unknown[], keys: ChatKeys): ChatMessage[] {
  return list.map((item, index) => {
    if (item === null || typeof item !== 'object' || Array.isArray(item)) {
      throw new RowProblem(`message ${index} is ${kindOf(item)}, an object was expected`);
    }
    const values = item as RowValues;
    return { role: roleOf(values[keys.roleKey], index, keys), content: contentOf(values, index, keys) };
  });
}

/** Throws RowProblem when no assistant turn says anything. */
export function chatExample(messages: readonly ChatMessage[]): ExampleBody {
  if (!messages.some(({ role, content }) => role === 'assistant' && content.trim() !== '')) {
    throw new RowProblem('the chat has no assistant message with text, there is nothing to learn');
  }
  return { kind: 'chat', messages };
}

function roleOf(value: unknown, index: number, { roleKey, roles }: ChatKeys): string {
  if (typeof value !== 'string') throw new RowProblem(`message ${index} has no "${roleKey}"`);
  const role = Object.hasOwn(roles, value) ? roles[value] : undefined;
  if (role !== undefined) return role;
  const known = didYouMean(value, Object.keys(roles));
  throw new RowProblem(`message ${index} has the unknown role "${value}"; ${known}`);
}

/** A text, or a list of `{ type: 'text', text }` parts. */
function contentOf(values: RowValues, index: number, { contentKey }: ChatKeys): string {
  const value = values[contentKey];
  if (typeof value === 'string') return value;
  const parts = Array.isArray(value) ? value.map((part) => (part as { text?: unknown } | null)?.text) : [];
  if (parts.length > 0 && parts.every((part) => typeof part === 'string')) return parts.join('');
  throw new RowProblem(`message ${index} has no text in "${contentKey}"`);
}
