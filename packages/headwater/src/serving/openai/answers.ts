/** Answers in OpenAI's form, whole or in pieces. Pure: what was generated comes in, JSON values go out. */

import type { GeneratedText, LikelyToken, TextPiece, TextToken } from '../../training/generation/text.ts';

export interface AnswerHead {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

/** One of the answers to a request, as it grew. */
export interface Answer {
  readonly index: number;
  readonly text: string;
  readonly tokens: readonly TextToken[];
  readonly result: GeneratedText;
}

/** OpenAI's words for how a text ended. */
export function finishReason({ reason }: GeneratedText): 'stop' | 'length' {
  return reason === 'length' ? 'length' : 'stop';
}

/** `numPrompts`: answers to one prompt share its tokens. */
export function usageOf(results: readonly GeneratedText[], numChoices: number) {
  const total = (count: (result: GeneratedText) => number) => results.reduce((sum, r) => sum + count(r), 0);
  const firsts = results.filter((_, i) => i % numChoices === 0);
  const promptTokens = firsts.reduce((sum, { numPromptTokens }) => sum + numPromptTokens, 0);
  const completionTokens = total(({ numTokens }) => numTokens);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: firsts.reduce((sum, { numReused }) => sum + numReused, 0) },
  };
}

export type Usage = ReturnType<typeof usageOf>;

export function chatCompletion(
  head: AnswerHead,
  answers: readonly Answer[],
  usage: Usage,
  logprobs: boolean,
) {
  return {
    ...head,
    object: 'chat.completion',
    choices: answers.map(({ index, text, tokens, result }) => ({
      index,
      message: { role: 'assistant', content: text, refusal: null },
      logprobs: logprobs ? chatLogprobs(tokens) : null,
      finish_reason: finishReason(result),
    })),
    usage,
  };
}

type ChatDelta = { readonly role: 'assistant'; readonly content: '' } | { readonly content: string } | object;

export function chatChunk(
  head: AnswerHead,
  index: number,
  delta: ChatDelta,
  { tokens, reason }: { readonly tokens?: readonly TextToken[]; readonly reason?: string } = {},
) {
  const logprobs = tokens === undefined ? null : chatLogprobs(tokens);
  const choice = { index, delta, logprobs, finish_reason: reason ?? null };
  return { ...head, object: 'chat.completion.chunk', choices: [choice] };
}

export function textCompletion(
  head: AnswerHead,
  answers: readonly Answer[],
  usage: Usage,
  logprobs: boolean,
) {
  return {
    ...head,
    object: 'text_completion',
    choices: answers.map(({ index, text, tokens, result }) => ({
      index,
      text,
      logprobs: logprobs ? textLogprobs(tokens) : null,
      finish_reason: finishReason(result),
    })),
    usage,
  };
}

export function textChunk(
  head: AnswerHead,
  index: number,
  { text, tokens }: TextPiece,
  { logprobs, reason }: { readonly logprobs: boolean; readonly reason?: string },
) {
  const choice = {
    index,
    text,
    logprobs: logprobs ? textLogprobs(tokens) : null,
    finish_reason: reason ?? null,
  };
  return { ...head, object: 'text_completion', choices: [choice] };
}

/** The last piece when usage was asked for. */
export function usageChunk(head: AnswerHead, object: string, usage: Usage) {
  return { ...head, object, choices: [], usage };
}

function chatLogprobs(tokens: readonly TextToken[]) {
  const told = (token: LikelyToken) => {
    return { token: textOf(token), bytes: token.bytes, logprob: token.logprob };
  };
  return {
    content: tokens.map((token) => ({ ...told(token), top_logprobs: token.top.map(told) })),
    refusal: null,
  };
}

function textLogprobs(tokens: readonly TextToken[]) {
  return {
    tokens: tokens.map(textOf),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ top }) =>
      Object.fromEntries(top.map((item) => [textOf(item), item.logprob])),
    ),
    text_offset: tokens.map(({ start }) => start),
  };
}

/** Parts of characters become U+FFFD, as at OpenAI; `bytes` has the whole. */
function textOf({ bytes }: LikelyToken): string {
  return new TextDecoder().decode(Uint8Array.from(bytes));
}
