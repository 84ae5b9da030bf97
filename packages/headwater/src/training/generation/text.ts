/**
 * Texts from a generator: tokens become characters as soon as they are certain, stop strings end a text wherever they lie
 * among the tokens, and tokens are told with their bytes and log-probabilities when asked for.
 */

import { stopScanner } from '../../models/stop-scanner.ts';
import { streamDecoder } from '../../models/stream-decoder.ts';
import { tokenBytes } from '../../models/token-bytes.ts';
import type { Tokenizer } from '../../models/tokenizer.ts';
import type { Generated, Generator } from './generator.ts';
import type { GenerateOptions, TokenDetails } from './options.ts';

export interface TextRequest {
  readonly prompt: Int32Array;
  readonly options: GenerateOptions;
  /** The text goes on where the prompt ends and keeps its first space, which the beginning of an answer has not. */
  readonly continues?: boolean;
  /** The text ends before the first of these. */
  readonly stop: readonly string[];
  readonly onPiece?: (piece: TextPiece) => void;
}

export interface TextPiece {
  readonly text: string;
  /** Tokens whose text begins in what was passed on so far; only with `options.topLogprobs`. */
  readonly tokens: readonly TextToken[];
}

export interface LikelyToken {
  /** May be a part of a character. */
  readonly bytes: readonly number[];
  readonly logprob: number;
}

export interface TextToken extends LikelyToken {
  /** Characters of the text before it. */
  readonly start: number;
  readonly top: readonly LikelyToken[];
}

export interface GeneratedText {
  readonly text: string;
  readonly reason: Generated['reason'];
  readonly numPromptTokens: number;
  /** Generated ones, those of a stop string included. */
  readonly numTokens: number;
  /** Tokens of the prompt that were not computed again. */
  readonly numReused: number;
}

export interface PendingText {
  readonly done: Promise<GeneratedText>;
  cancel(): void;
}

/** The request is expected to fit into the generator. */
export function submitText(generator: Generator, tokenizer: Tokenizer, request: TextRequest): PendingText {
  const { prompt, options } = request;
  const decoder = streamDecoder(tokenizer, request.continues === true ? { after: prompt } : {});
  const scanner = stopScanner(request.stop);
  const waiting: TextToken[] = [];
  const wantsTokens = options.topLogprobs !== undefined;
  let [decoded, passed, stopped] = [0, '', false];

  function pass(text: string, upTo: number): void {
    passed += text;
    const count = waiting.findIndex(({ start }) => start >= upTo);
    const tokens = waiting.splice(0, count < 0 ? waiting.length : count);
    if (text !== '' || tokens.length > 0) request.onPiece?.({ text, tokens });
  }
  function onToken(id: number, details: TokenDetails): 'stop' | undefined {
    if (wantsTokens) waiting.push(told(tokenizer, id, decoded, details));
    const text = decoder.push(id);
    decoded += text.length;
    const certain = scanner.push(text);
    stopped = certain.stopped;
    if (certain.text !== '') pass(certain.text, passed.length + certain.text.length);
    return stopped ? 'stop' : undefined;
  }
  const pending = generator.submit({ prompt, options, onToken });
  const done = pending.done.then((result): GeneratedText => {
    if (!stopped) {
      const last = scanner.push(decoder.end());
      const rest = last.stopped ? last.text : last.text + scanner.end();
      pass(rest, last.stopped ? passed.length + rest.length : Number.POSITIVE_INFINITY);
    }
    return {
      text: passed,
      reason: result.reason,
      numPromptTokens: prompt.length,
      numTokens: result.tokens.length,
      numReused: result.numReused,
    };
  });
  return { done, cancel: pending.cancel };
}

function told(tokenizer: Tokenizer, id: number, start: number, { logprob, top }: TokenDetails): TextToken {
  const likely = (token: number, value: number): LikelyToken => {
    return { bytes: [...tokenBytes(tokenizer, token)], logprob: value };
  };
  const others = (top ?? []).map((item) => likely(item.id, item.logprob));
  return { ...likely(id, logprob ?? Number.NaN), start, top: others };
}

/** Runs a generator until nothing waits and nothing runs. */
export async function runToEnd(generator: Generator): Promise<void> {
  while (!generator.isIdle()) await generator.step();
}
