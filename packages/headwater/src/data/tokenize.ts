/**
 * Examples → tokens with a mask of what is learnt: completions and assistant turns (with their end token), or all of a
 * plain text. It knows no batches and no model; lengths are cut here and every cut is counted.
 */

import { assert, HeadwaterError } from '../base/errors.ts';
import type { ChatTemplate } from '../models/chat-template.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import { numTargetsOf, numTokensOf, pairOf } from './pairs.ts';
import { type ChatTokens, tokenizeChat } from './tokenize-chat.ts';
import { classIdOf, framedTokens } from './tokenize-class.ts';
import { commonPrefixLength } from './tokenize-prefix.ts';
import type { ChatMessage, Example, TokenizedExample } from './types.ts';

/** What of a model folder tokenization needs. */
export interface TextCodec {
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate | undefined;
  /** Classes of a classifier, in the order of its logits. */
  readonly labels?: readonly string[] | undefined;
}

export interface TokenizeOptions {
  /** Longest sequence in tokens. */
  readonly maxLength: number;
  /**
   * What happens to a longer example that has a prompt. `truncate`: the prompt loses tokens from its left (but keeps a
   * begin token, and at least half of maxLength where it is that long), then the completion from its right.
   */
  readonly overflow?: 'truncate' | 'drop';
  /** Both answers of each example, whose prompts are cut alike. */
  readonly pairs?: boolean;
}

export interface TokenizeReport {
  readonly numTokenized: number;
  readonly numTokens: number;
  readonly numTargets: number;
  /** Examples whose prompt lost tokens from its left. */
  readonly promptsTruncated: number;
  /** Examples whose completion lost tokens from its right (their end token is not learnt). */
  readonly completionsTruncated: number;
  /** Examples left out: too long with `overflow: drop`, or without a single target. */
  readonly dropped: number;
  /** Texts with a class that lost tokens from their right. */
  readonly textsTruncated: number;
  /** Plain texts cut into several sequences; nothing is lost. */
  readonly textsChunked: number;
}

export interface TokenizedDataset {
  readonly tokenized: readonly TokenizedExample[];
  /** For each tokenized example the position of its example in the input. */
  readonly source: readonly number[];
  readonly report: TokenizeReport;
}

/**
 * Throws DATA_INVALID (a chat that the template refuses, a class that the model has not, no pair where one is wanted), OPTION_INVALID (data for another
 * sort of model, chats for one without template).
 */
export function tokenizeExamples(
  examples: readonly Example[],
  codec: TextCodec,
  options: TokenizeOptions,
): TokenizedDataset {
  assert(options.maxLength >= 2, `maxLength ${options.maxLength} leaves nothing to predict`);
  const tokenized: TokenizedExample[] = [];
  const source: number[] = [];
  const counts = {
    promptsTruncated: 0,
    completionsTruncated: 0,
    textsTruncated: 0,
    dropped: 0,
    textsChunked: 0,
  };
  examples.forEach((example, index) => {
    checkFits(example, codec);
    const useful =
      example.kind === 'classification'
        ? classified(example, codec, options, counts)
        : options.pairs === true
          ? pairOfSequences(example, codec, options, counts)
          : pieces(example, codec, options, counts);
    if (useful.length === 0) counts.dropped++;
    if (useful.length > 1) counts.textsChunked++;
    for (const piece of useful) {
      tokenized.push(piece);
      source.push(index);
    }
  });
  const sum = (of: (example: TokenizedExample) => number) => tokenized.reduce((n, item) => n + of(item), 0);
  return {
    tokenized,
    source,
    report: {
      numTokenized: tokenized.length,
      numTokens: sum(numTokensOf),
      numTargets: sum(numTargetsOf),
      ...counts,
    },
  };
}

type Classified = Extract<Example, { kind: 'classification' }>;
type Continued = Exclude<Example, Classified>;

/** Throws OPTION_INVALID when data and model are made for different things. */
function checkFits({ kind, meta }: Example, { labels }: TextCodec): void {
  const classifies = labels !== undefined;
  if (classifies === (kind === 'classification')) return;
  throw new HeadwaterError(
    'OPTION_INVALID',
    classifies
      ? `the model is a classifier, but the data are for models that write text (${kind})`
      : 'the data are texts with a class, but the model has no classification head',
    {
      where: meta.where,
      hint: classifies
        ? 'Use the schema classification, or a causal language model.'
        : 'Use an encoder (bert, roberta, distilbert), or a schema with something to write, such as prompt-completion.',
    },
  );
}

function classified(
  { text, label, meta }: Classified,
  { tokenizer, labels }: TextCodec,
  { maxLength, overflow }: TokenizeOptions,
  counts: { textsTruncated: number },
): TokenizedExample[] {
  const classId = classIdOf(label, labels!, meta.where);
  const { tokens, truncated } = framedTokens(text, tokenizer, maxLength);
  if (truncated && overflow === 'drop') return [];
  if (truncated) counts.textsTruncated++;
  const named = { label: meta.label ?? label };
  return [{ tokens, supervised: new Uint8Array(tokens.length), numTargets: 1, classId, ...named }];
}

function pieces(
  example: Continued,
  codec: TextCodec,
  options: TokenizeOptions,
  counts: { promptsTruncated: number; completionsTruncated: number },
): TokenizedExample[] {
  const whole = sequenceOf(example, codec);
  const parts = example.kind === 'text' ? chunks(whole, options) : fitted([whole], options, counts);
  return parts.map((part) => finished(part, example)).filter((part) => part.numTargets > 0);
}

function pairOfSequences(
  example: Continued,
  codec: TextCodec,
  options: TokenizeOptions,
  counts: { promptsTruncated: number; completionsTruncated: number },
): TokenizedExample[] {
  const wholes = pairOf(example).map((answer) => sequenceOf(answer as Continued, codec));
  const [chosen, rejected] = fitted(wholes, options, counts).map((part) => finished(part, example));
  if (chosen === undefined || rejected === undefined) return [];
  return chosen.numTargets > 0 && rejected.numTargets > 0 ? [{ ...chosen, rejected }] : [];
}

/** Token ids of a chat so far, ready for the assistant to answer. */
export function chatPromptTokens(messages: readonly ChatMessage[], codec: TextCodec): Int32Array {
  const text = requireTemplate(codec).render(messages, { addGenerationPrompt: true });
  return codec.tokenizer.encode(text, { addSpecialTokens: false });
}

/** Token ids of a plain prompt, with the begin token if the tokenizer adds one, without an end token. */
export function promptTokens(prompt: string, { tokenizer }: TextCodec): Int32Array {
  const ids = tokenizer.encode(prompt);
  return ids.at(-1) === tokenizer.eosTokenId && !endsWithToken(prompt, tokenizer) ? ids.slice(0, -1) : ids;
}

/** Tokens of one example before any cut. */
function sequenceOf(example: Continued, codec: TextCodec): ChatTokens {
  if (example.kind === 'chat') {
    return tokenizeChat(example.messages, codec.tokenizer, requireTemplate(codec), example.meta.where);
  }
  if (example.kind === 'text') return supervisedFrom(withEnd(example.text, codec), 0);
  const text = example.prompt + example.completion;
  const tokens = example.open === true ? promptTokens(text, codec) : withEnd(text, codec);
  return supervisedFrom(tokens, commonPrefixLength(codec.tokenizer.encode(example.prompt), tokens));
}

/** Throws OPTION_INVALID. */
export function requireTemplate({ chatTemplate }: Pick<TextCodec, 'chatTemplate'>): ChatTemplate {
  if (chatTemplate !== undefined) return chatTemplate;
  throw new HeadwaterError('OPTION_INVALID', 'the data are chats, but this model has no chat template', {
    hint: 'Use a chat model, or a schema without chat (prompt-completion with chat: false).',
  });
}

/** The text as the tokenizer frames it, with an end token: the model must learn when to stop. */
function withEnd(text: string, { tokenizer }: TextCodec): Int32Array {
  const ids = tokenizer.encode(text);
  const end = tokenizer.eosTokenId;
  return end === undefined || ids.at(-1) === end ? ids : Int32Array.of(...ids, end);
}

function endsWithToken(text: string, tokenizer: Tokenizer): boolean {
  const end = tokenizer.eosTokenId === undefined ? undefined : tokenizer.tokenOf(tokenizer.eosTokenId);
  return end !== undefined && text.endsWith(end);
}

function supervisedFrom(tokens: Int32Array, start: number): ChatTokens {
  return { tokens, supervised: new Uint8Array(tokens.length).fill(1, start) };
}

/** Consecutive pieces that share one token: the first token of a piece is no target, so none is lost. */
function chunks({ tokens, supervised }: ChatTokens, { maxLength }: TokenizeOptions): ChatTokens[] {
  const pieces: ChatTokens[] = [];
  for (let start = 0; start === 0 || start + 1 < tokens.length; start += maxLength - 1) {
    const end = start + maxLength;
    pieces.push({ tokens: tokens.slice(start, end), supervised: supervised.slice(start, end) });
  }
  return pieces;
}

/** Sequences with the same prompt lose the same of it. */
function fitted(
  wholes: readonly ChatTokens[],
  { maxLength, overflow = 'truncate' }: TokenizeOptions,
  counts: { promptsTruncated: number; completionsTruncated: number },
): readonly ChatTokens[] {
  const excess = Math.max(...wholes.map(({ tokens }) => tokens.length)) - maxLength;
  if (excess <= 0) return wholes;
  const promptLength = Math.min(...wholes.map(({ supervised }) => supervised.indexOf(1)));
  if (overflow === 'drop' || promptLength < 0) return [];
  const keptPrompt = Math.max(promptLength - excess, Math.min(promptLength, Math.floor(maxLength / 2)));
  const dropped = promptLength - keptPrompt;
  if (dropped > 0) counts.promptsTruncated++;
  if (excess > dropped) counts.completionsTruncated++;
  return wholes.map((whole) => {
    const tokens = whole.tokens.slice(dropped, dropped + maxLength);
    // The begin token (or whatever frames the text) stays at the front.
    if (keptPrompt > 0) tokens[0] = whole.tokens[0] as number;
    return { tokens, supervised: whole.supervised.slice(dropped, dropped + maxLength) };
  });
}

function finished({ tokens, supervised }: ChatTokens, example: Example): TokenizedExample {
  supervised[0] = 0;
  const numTargets = supervised.reduce((n, flag) => n + flag, 0);
  const { label } = example.meta;
  return { tokens, supervised, numTargets, ...(label === undefined ? {} : { label }) };
}
