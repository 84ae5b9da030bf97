/**
 * Which tokens of a rendered chat are the assistant's. Works for any template: the chat is rendered in parts and with a
 * changed turn, and compared with the whole; nothing is assumed about a template's text.
 */

import { HeadwaterError } from '../base/errors.ts';
import type { ChatTemplate } from '../models/chat-template.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import { commonPrefixLength, commonSuffixLength } from './tokenize-prefix.ts';
import type { ChatMessage } from './types.ts';

export interface ChatTokens {
  readonly tokens: Int32Array;
  /** 1 for tokens to be learnt. */
  readonly supervised: Uint8Array;
}

/** A private-use character: what a template shows of it cannot be confused with the message it stands for. */
const PROBE = '\uE000';

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
  const render = (shown: readonly ChatMessage[], addGenerationPrompt = false) =>
    renderAt(template, shown, addGenerationPrompt, where);
  const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
  const whole = render(messages);
  const tokens = encode(whole);
  const supervised = new Uint8Array(tokens.length);
  messages.forEach((message, index) => {
    if (message.role !== 'assistant' || message.content.trim() === '') return;
    const turn = findTurn(messages, index, whole, render);
    if (turn === undefined) throw hiddenTurn(index, where);
    const tokensBefore = (char: number) =>
      char === whole.length ? tokens.length : commonPrefixLength(encode(whole.slice(0, char)), tokens);
    const start = tokensBefore(turn.start);
    const end = turn.end === undefined ? undefined : tokensBefore(turn.end);
    const last = end ?? nextSpecial(tokens, tokensBefore(turn.contentEnd), tokenizer);
    supervised.fill(1, start, endOfTurn(tokens, start, last, tokenizer));
  });
  return { tokens, supervised };
}

/** Character offsets in the rendered whole. */
interface Turn {
  readonly start: number;
  readonly contentEnd: number;
  /** End of what the template writes behind the content; undefined when that cannot be seen. */
  readonly end: number | undefined;
}

/**
 * Usually the rendered prompt is a prefix of the whole. Where it is not (no generation prompt, or one that history does
 * not contain, such as an empty thinking block), and to see where an earlier turn ends, the turn's content is replaced
 * by a probe: what stays equal around it is the template's. undefined: the template does not show the turn.
 */
function findTurn(
  messages: readonly ChatMessage[],
  index: number,
  whole: string,
  render: (messages: readonly ChatMessage[], addGenerationPrompt?: boolean) => string,
): Turn | undefined {
  const isLast = index === messages.length - 1;
  const before = index === 0 ? undefined : render(messages.slice(0, index), true);
  const prompted = before !== undefined && before.length < whole.length && whole.startsWith(before);
  if (isLast && prompted) return { start: before.length, contentEnd: whole.length, end: whole.length };
  const probed = render(
    messages.map((message, i) => (i === index ? { ...message, content: PROBE } : message)),
  );
  const contentStart = commonPrefixLength(whole, probed);
  const contentEnd = whole.length - commonSuffixLength(whole, probed);
  if (!probed.includes(PROBE) || contentEnd <= contentStart) return undefined;
  const end = isLast ? whole.length : commonPrefixLength(whole, render(messages.slice(0, index + 1)));
  return {
    start: prompted && before.length <= contentStart ? before.length : contentStart,
    contentEnd,
    end: end < contentEnd ? undefined : end,
  };
}

/** One past the next special token, which is taken for the end token; `from` when there is none. */
function nextSpecial(tokens: Int32Array, from: number, tokenizer: Tokenizer): number {
  const found = tokens.findIndex((token, i) => i >= from && tokenizer.specialTokenIds.has(token));
  return found < 0 ? from : found + 1;
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
