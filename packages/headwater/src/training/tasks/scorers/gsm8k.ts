/**
 * The number that a solution of GSM8K ends with, and when two are the same, by the rules of the data set's authors
 * (openai/grade-school-math, `extract_answer`) and of lm-evaluation-harness (task gsm8k, version 3). Numbers are compared as
 * text, as both do: 18.00 is not 18.
 */

/** What no extraction gives; never equal to an answer. */
export const INVALID = '[invalid]';

const AFTER_MARKER = /#### (-?[0-9.,]+)/;
const NUMBER = /(-?[$0-9.,]{2,})|(-?[0-9]+)/g;

/** The first number behind `#### `. */
export function markedAnswer(text: string): string {
  return AFTER_MARKER.exec(text)?.[1] ?? INVALID;
}

/** The last thing that looks like a number, with its dollar sign, commas and dots. */
export function lastNumber(text: string): string {
  return text.match(NUMBER)?.at(-1) ?? INVALID;
}

/** Without commas, dollar signs, everything up to the last `#### ` and a dot at the end; of the answer or of a whole solution. */
export function normalisedAnswer(text: string): string {
  const bare = text
    .replaceAll(',', '')
    .replaceAll('$', '')
    .replace(/[\s\S]*#### /, '');
  return bare.replace(/\.(?=\n?$)/, '').toLowerCase();
}

export function sameAnswer(extracted: string, solution: string): boolean {
  return normalisedAnswer(extracted) === normalisedAnswer(solution);
}
