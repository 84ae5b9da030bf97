/** How a prompt is cut into pieces of few lengths, and how much of it is known already. Pure. */

/** Lengths come in powers of two from 16, so that few sessions serve all texts. */
export function bucketLength(length: number): number {
  let bucket = 16;
  while (bucket < length) bucket *= 2;
  return bucket;
}

/** Longer prompts are fed in several pieces. */
const LONGEST = 256;

/** The length of the next piece, padding included: the bucket that `left` tokens need, or the longest. */
export function pieceLength(left: number): number {
  return left === 1 ? 1 : Math.min(LONGEST, bucketLength(left));
}

/** How many tokens two sequences have in common from their beginning on. */
export function commonPrefix(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let count = 0;
  while (count < a.length && count < b.length && a[count] === b[count]) count++;
  return count;
}
