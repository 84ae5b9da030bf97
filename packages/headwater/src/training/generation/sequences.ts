/** The sequences of a decoder: which place a prompt gets, how many places run together, how much room they need. */

import type { KeyValueCache } from './kv-cache.ts';
import { commonPrefix } from './pieces.ts';

/** One sequence of a decoder; opaque to its users. */
export interface Sequence {
  /** Place in the cache; changes when sequences move together. */
  slot: number;
  /** What the cache holds of it, virtual tokens included. */
  tokens: number[];
  /** The rows are those of a sequence beyond the model's first context (`ModelShape.longContextAbove`). */
  long: boolean;
  open: boolean;
}

export function emptySequences(count: number): Sequence[] {
  return Array.from({ length: count }, (_, slot) => ({ slot, tokens: [], long: false, open: false }));
}

/** Copying the rows of another sequence pays from so many on. */
const WORTH_COPYING = 8;

/**
 * The free sequence that already begins as the prompt does; otherwise a free one that takes over an open one's rows.
 * undefined: all are open.
 */
export function placeFor(
  prompt: Int32Array,
  long: boolean,
  sequences: readonly Sequence[],
  cache: KeyValueCache,
  numPrefix: number,
): Sequence | undefined {
  const shared = (sequence: Sequence) => (sequence.long === long ? commonPrefix(sequence.tokens, prompt) : 0);
  const free = sequences.filter(({ open }) => !open);
  if (free.length === 0) return undefined;
  const best = free.reduce((a, b) => (shared(b) > shared(a) ? b : a));
  const source = sequences.reduce((a, b) => (shared(b) > shared(a) ? b : a));
  const emptiest = free.reduce((a, b) => (b.tokens.length < a.tokens.length ? b : a));
  if (shared(source) < shared(best) + WORTH_COPYING) return shared(best) > 0 ? best : emptiest;
  cache.copySlot(source.slot, emptiest.slot, numPrefix + shared(source));
  return Object.assign(emptiest, { tokens: source.tokens.slice(0, shared(source)), long });
}

/** Open sequences move to the first slots when a smaller batch then holds them all; the size of that batch. */
export function gatherOpen(
  active: readonly Sequence[],
  sequences: readonly Sequence[],
  cache: KeyValueCache,
  numPrefix: number,
): number {
  const batchSize = bucketOf(active.length, sequences.length);
  for (const sequence of active) {
    if (sequence.slot < batchSize) continue;
    const other = sequences.find((candidate) => !candidate.open && candidate.slot < batchSize)!;
    cache.copySlot(sequence.slot, other.slot, numPrefix + sequence.tokens.length);
    [sequence.slot, other.slot] = [other.slot, sequence.slot];
    other.tokens = [];
  }
  return batchSize;
}

/** Each batch size is a session with its own repacked weights: one sequence, a few, all. */
function bucketOf(count: number, most: number): number {
  if (count === 1) return 1;
  return count <= A_FEW ? Math.min(A_FEW, most) : most;
}

const A_FEW = 8;

/** Multiples of 64 up to 512, then steps of an eighth: copies are rare and room for nothing is small. */
export function capacityFor(length: number, most: number): number {
  let step = 64;
  while (length > 8 * step) step *= 2;
  return Math.min(most, Math.ceil(length / step) * step);
}
