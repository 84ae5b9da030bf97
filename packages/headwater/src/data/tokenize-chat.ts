/**
 * Which tokens of a rendered chat are the assistant's. Works for any template: the chat is rendered up to each turn and
 * compared with the whole, so nothing is assumed about a template's text.
 */

import { HeadwaterError } from '../base/errors.ts';
import type { ChatTemplate } from '../models/chat-template.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import { commonPrefixLength } from './tokenize-prefix.ts';
import type { ChatMessage } from './types.ts';

export interface ChatTokens {
  readonly tokens: Int32Array;
  /** 1 for tokens to be learnt. */
  readonly supervised: Uint8Array;
}

/**
 * The whole chat is tokenized at once. An assistant turn begins at the first token by which the whole differs from
 * (chat before it + generation prompt) and ends with the turn's last token, without white space after its end token.
 * Throws DATA_INVALID when the template hides an assistant turn or refuses the chat.
 */
export function tokenizeChat(
  messages: readonly ChatMessage[],
  tokenizer: Tokenizer,
  template: ChatTemplate,
  where: string,
): ChatTokens {
  const render = (count: number, addGenerationPrompt = false) =>
    renderAt(template, messages.slice(0, count), addGenerationPrompt, where);
  const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
  const whole = render(messages.length);
  const tokens = encode(whole);
  const supervised = new Uint8Array(tokens.length);
  messages.forEach((message, index) => {
    if (message.role !== 'assistant') return;
    const isLast = index === messages.length - 1;
    const endChar = isLast ? whole.length : commonPrefixLength(whole, render(index + 1));
    const before = index === 0 ? undefined : render(index, true);
    const startChar = turnStart(whole, before, message.content, endChar);
    if (startChar === undefined) throw hiddenTurn(index, where);
    const start = commonPrefixLength(encode(whole.slice(0, startChar)), tokens);
    const end = isLast ? tokens.length : commonPrefixLength(encode(whole.slice(0, endChar)), tokens);
    supervised.fill(1, start, endOfTurn(tokens, start, end, tokenizer));
  });
  return { tokens, supervised };
}

function renderAt(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  addGenerationPrompt: boolean,
  where: string,
): string {
  try {
    return template.render(messages, { addGenerationPrompt });
  } catch (cause) {
    if (!(cause instanceof HeadwaterError) || cause.code !== 'DATA_INVALID') throw cause;
    const { hint } = cause;
    throw new HeadwaterError('DATA_INVALID', cause.message, {
      where,
      cause,
      ...(hint === undefined ? {} : { hint }),
    });
  }
}

/**
 * Usually the rendered prompt is a prefix of the whole. Templates without generation prompt, or with one that history
 * does not contain (an empty thinking block), are searched for the message itself instead.
 */
function turnStart(
  whole: string,
  before: string | undefined,
  content: string,
  endChar: number,
): number | undefined {
  if (before !== undefined && before.length < endChar && whole.startsWith(before)) return before.length;
  const shared = before === undefined ? 0 : commonPrefixLength(whole, before);
  const found = whole.indexOf(content.trim(), shared);
  return found < 0 || found >= endChar ? undefined : found;
}

/** Leaves out white space behind the end token: generation has stopped before it. */
function endOfTurn(tokens: Int32Array, start: number, end: number, tokenizer: Tokenizer): number {
  let last = end - 1;
  while (last >= start && !tokenizer.specialTokenIds.has(tokens[last] as number)) last--;
  if (last < start) return end;
  const tail = tokenizer.decode(tokens.subarray(last + 1, end));
  return tail.trim() === '' ? last + 1 : end;
}

function hiddenTurn(index: number, where: string): HeadwaterError {
  return new HeadwaterError(
    'DATA_INVALID',
    `the chat template does not show message ${index} (assistant) as it stands, so it cannot be learnt`,
    { where, hint: 'Check the roles; some templates drop or rewrite earlier turns.' },
  );
}
