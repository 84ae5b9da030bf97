/**
 * Repairs one difference of the backend: its built-in ByteLevel rule uses JavaScript's `\s`, which counts U+FEFF as
 * white space and U+0085 not. The same rule as an explicit Split is translated to Unicode's White_Space.
 */

/** GPT-2's splitting rule, as the `tokenizers` library applies it inside ByteLevel. */
const GPT2_RULE = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

type Part = Record<string, unknown>;

/** With add_prefix_space the part is left alone: after a Split it would prefix every piece. */
export function withUnicodeSpaces(preTokenizer: Part): Part {
  if (preTokenizer.type === 'Sequence' && Array.isArray(preTokenizer.pretokenizers)) {
    return { ...preTokenizer, pretokenizers: preTokenizer.pretokenizers.map(withUnicodeSpaces) };
  }
  const splits = preTokenizer.type === 'ByteLevel' && preTokenizer.use_regex !== false;
  if (!splits || preTokenizer.add_prefix_space === true) return preTokenizer;
  return {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Split', pattern: { Regex: GPT2_RULE }, behavior: 'Isolated', invert: false },
      { ...preTokenizer, use_regex: false },
    ],
  };
}
