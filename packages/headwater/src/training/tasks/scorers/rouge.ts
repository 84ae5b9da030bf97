/**
 * ROUGE-L of two texts (Lin 2004, section 3.1, with β = 1) as Google's rouge_score computes it: lower case, everything but
 * a–z and 0–9 separates words, words of more than three letters are stemmed where asked for.
 */

import { porterStem } from './porter-stemmer.ts';

export interface Rouge {
  readonly precision: number;
  readonly recall: number;
  readonly f: number;
}

const NOTHING: Rouge = { precision: 0, recall: 0, f: 0 };

export function rougeWords(text: string, stemmed: boolean): string[] {
  const words = text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  return stemmed ? words.map((word) => (word.length > 3 ? porterStem(word) : word)) : words;
}

/** With L the length of the longest common subsequence of words: precision L / |output|, recall L / |reference|. */
export function rougeL(reference: string, output: string, stemmed: boolean): Rouge {
  const [truth, given] = [rougeWords(reference, stemmed), rougeWords(output, stemmed)];
  const common = longestCommon(truth, given);
  if (common === 0) return NOTHING;
  const [precision, recall] = [common / given.length, common / truth.length];
  return { precision, recall, f: (2 * precision * recall) / (precision + recall) };
}

/** One row of the table at a time. */
function longestCommon(a: readonly string[], b: readonly string[]): number {
  let above = new Int32Array(b.length + 1);
  for (const word of a) {
    const row = new Int32Array(b.length + 1);
    for (let j = 1; j <= b.length; j++)
      row[j] = word === b[j - 1] ? above[j - 1]! + 1 : Math.max(above[j]!, row[j - 1]!);
    above = row;
  }
  return above[b.length]!;
}
