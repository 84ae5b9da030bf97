/** Texts with a class → tokens and the number of the class. The class is told at the first token; no token is learnt. */

import { HeadwaterError } from '../base/errors.ts';
import { nearest } from '../base/suggest.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import type { Example } from './types.ts';

/**
 * The text as the tokenizer frames it ([CLS] … [SEP]), at most `maxLength` tokens: a longer text loses tokens from its
 * right, the frame stays.
 */
export function framedTokens(
  text: string,
  tokenizer: Pick<Tokenizer, 'encode' | 'specialTokenIds'>,
  maxLength: number,
): { readonly tokens: Int32Array; readonly truncated: boolean } {
  const whole = tokenizer.encode(text);
  if (whole.length <= maxLength) return { tokens: whole, truncated: false };
  const frame = whole.length - tokenizer.encode(text, { addSpecialTokens: false }).length;
  let end = 0;
  while (end < frame && end < maxLength - 1 && tokenizer.specialTokenIds.has(whole.at(-1 - end)!)) end++;
  const tokens = new Int32Array(maxLength);
  tokens.set(whole.subarray(0, maxLength - end));
  tokens.set(whole.subarray(whole.length - end), maxLength - end);
  return { tokens, truncated: true };
}

/** The number of a class by its name, or by its number as text where no class is called that. Throws DATA_INVALID. */
export function classIdOf(label: string, labels: readonly string[], where: string): number {
  const named = labels.indexOf(label);
  if (named >= 0) return named;
  const number = /^\d+$/.test(label) ? Number(label) : labels.length;
  if (number < labels.length) return number;
  const guess = nearest(label, labels);
  const known = `${labels.slice(0, 12).join(', ')}${labels.length > 12 ? ` … (${labels.length})` : ''}`;
  throw new HeadwaterError('DATA_INVALID', `the model has no class ${JSON.stringify(label)}`, {
    where,
    hint: `${guess === undefined ? '' : `Did you mean "${guess}"? `}Its classes are: ${known}.`,
  });
}

/** The classes that examples name, in the order of their numbers or names; undefined where they name none. */
export function classesOf(examples: readonly Example[]): string[] | undefined {
  const labels = new Set(
    examples.flatMap((example) => (example.kind === 'classification' ? [example.label] : [])),
  );
  if (labels.size === 0) return undefined;
  const numbers = [...labels].every((label) => /^\d+$/.test(label));
  return [...labels].sort(numbers ? (a, b) => Number(a) - Number(b) : (a, b) => (a < b ? -1 : 1));
}
