/**
 * Which option a generated text chooses. Rules of lm-evaluation-harness where it has one; all of them answer −1 for a text
 * that chooses none. They know letters and words, no tasks.
 */

/** What Python calls `\W`: no letter, digit or underscore of any script. */
const OTHER = '[^\\p{L}\\p{N}_]';

/**
 * The letter on the first line: alone, decorated (`A.`, `(b)`), or behind `answer`, `answer is`, `option`, at the end of the
 * line (mmlu_generative, version 3).
 */
export function letterOnFirstLine(text: string, numOptions: number): number {
  const line = (text.split('\n', 1)[0] ?? '').trim();
  const lead = `(?:^${OTHER}*|answer\\s*(?:is)?\\s*[:\\-]?\\s*|option\\s*[:\\-]?\\s*)`;
  const found = new RegExp(`${lead}\\(?([A-${letter(numOptions - 1)}])\\)?${OTHER}*$`, 'iu').exec(line);
  return found === null ? -1 : indexOfLetter(found[1]!);
}

/**
 * The first `(A)`; else the first option whose words appear, without case and punctuation; else the first letter behind a
 * colon (mmlu_flan_n_shot_generative, flexible-extract).
 */
export function letterInParentheses(text: string, optionTexts: readonly string[]): number {
  const marked = /\(([A-Z])\)/.exec(text);
  if (marked !== null) return indexOfLetter(marked[1]!);
  const named = firstNamed(
    plain(text),
    optionTexts.map((option) => plain(option.trim())),
  );
  if (named >= 0) return named;
  const behindColon = new RegExp(`:\\s*([A-${letter(optionTexts.length - 1)}])`, 'u').exec(text);
  return behindColon === null ? -1 : indexOfLetter(behindColon[1]!);
}

/** The option whose text stands first as whole words, without case; of those that begin at the same place the longest. */
export function firstWords(text: string, options: readonly string[]): number {
  let best = { at: Number.POSITIVE_INFINITY, length: 0, index: -1 };
  for (const [index, option] of options.entries()) {
    const words = option.trim();
    const whole = new RegExp(`(?<!${WORD})${escaped(words)}(?!${WORD})`, 'iu').exec(text);
    if (words === '' || whole === null) continue;
    const earlier = whole.index < best.at || (whole.index === best.at && words.length > best.length);
    if (earlier) best = { at: whole.index, length: words.length, index };
  }
  return best.index;
}

const WORD = '[\\p{L}\\p{N}_]';

/** As an alternation of a regular expression would: the leftmost match, of equals the first option. */
function firstNamed(text: string, options: readonly string[]): number {
  let best = { at: Number.POSITIVE_INFINITY, index: -1 };
  for (const [index, option] of options.entries()) {
    const at = text.indexOf(option);
    if (at >= 0 && at < best.at) best = { at, index };
  }
  // An option of punctuation alone is found everywhere and says nothing.
  const found = options[best.index] ?? '';
  // Two options that are the same without punctuation are the later one: the reference maps texts to letters.
  return found === '' ? -1 : options.lastIndexOf(found);
}

function plain(text: string): string {
  return text.toLowerCase().replaceAll(/\p{P}/gu, '');
}

export function letter(index: number): string {
  return String.fromCharCode(65 + index);
}

function indexOfLetter(found: string): number {
  return found.toUpperCase().charCodeAt(0) - 65;
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}
