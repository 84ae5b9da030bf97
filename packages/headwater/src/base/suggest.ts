/** "Did you mean": the nearest known word, when it is near enough to be a slip of the fingers. */

import { distance } from 'fastest-levenshtein';

export function nearest(word: string, known: Iterable<string>): string | undefined {
  const limit = Math.max(2, Math.floor(word.length / 3));
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const candidate of known) {
    const d = Math.min(distance(word.toLowerCase(), candidate.toLowerCase()), spelledAlike(word, candidate));
    if (d < bestDistance) {
      best = candidate;
      bestDistance = d;
    }
  }
  return best;
}

/** `batch_size` and `batch-size` are `batchSize`. */
function spelledAlike(a: string, b: string): number {
  const bare = (text: string) => text.replaceAll(/[-_ ]/g, '').toLowerCase();
  return bare(a) === bare(b) ? 0 : Number.POSITIVE_INFINITY;
}

/** `; did you mean "x"?`, or the list of what there is when nothing is near. */
export function didYouMean(word: string, known: readonly string[]): string {
  const guess = nearest(word, known);
  if (guess !== undefined) return `did you mean "${guess}"?`;
  return known.length === 0 ? 'nothing is allowed here' : `there are: ${known.join(', ')}`;
}
