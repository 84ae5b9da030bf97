/**
 * Text while it is being generated: emits a piece only when it can no longer change, so that no half UTF-8 character
 * and no wrong space of a SentencePiece tokenizer is ever shown. The pieces joined are the decoded whole.
 */

import type { Tokenizer } from './tokenizer.ts';

export interface StreamDecoder {
  /** New text made certain by this token; often ''. */
  push(id: number): string;
  /** What was held back (broken bytes as U+FFFD). */
  end(): string;
}

/** Tokens of what comes before that decide how the first new one is written. */
const WINDOW = 4;

/**
 * Decodes a short window of tokens twice, without and with the new ones: the difference is new text. The window starts
 * at an earlier token, because a decoder strips the space before the first token of whatever it is given.
 */
export function streamDecoder(
  tokenizer: Pick<Tokenizer, 'decode'>,
  options: { readonly skipSpecialTokens?: boolean; readonly after?: Int32Array } = {},
): StreamDecoder {
  // Text that continues something keeps its first space.
  let shown: number[] = [...(options.after?.subarray(-WINDOW) ?? [])];
  let held: number[] = [];

  function advance(): string {
    const before = tokenizer.decode(shown, options);
    const after = tokenizer.decode([...shown, ...held], options);
    return after.slice(before.length);
  }
  function push(id: number): string {
    held.push(id);
    const text = advance();
    if (text === '' || text.endsWith('\uFFFD')) return '';
    shown = held;
    held = [];
    return text;
  }
  function end(): string {
    const text = advance();
    shown = [];
    held = [];
    return text;
  }
  return { push, end };
}
