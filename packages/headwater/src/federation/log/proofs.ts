/** Checking the proofs of a Merkle tree with its roots alone (RFC 9162 §2.1.3.2 and §2.1.4.2). It holds no tree. */

import { EMPTY_ROOT, type Hash, nodeHash } from './merkle.ts';

export interface Head {
  readonly size: number;
  readonly root: Hash;
}

/** Whether `leaf` is entry `index` (from 0) of the list with this head. */
export function verifyInclusion(
  leaf: Hash,
  index: number,
  path: readonly Hash[],
  { size, root }: Head,
): boolean {
  if (!(index >= 0 && index < size)) return false;
  let [node, last] = [index, size - 1];
  let hash = leaf;
  for (const step of path) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(step, hash);
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else hash = nodeHash(hash, step);
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && sameHash(hash, root);
}

/** Whether the list of `second` begins with that of `first`. */
export function verifyConsistency(first: Head, second: Head, proof: readonly Hash[]): boolean {
  if (first.size > second.size) return false;
  if (first.size === second.size) return proof.length === 0 && sameHash(first.root, second.root);
  if (first.size === 0) return proof.length === 0 && sameHash(first.root, EMPTY_ROOT);
  // A whole subtree is its own first node.
  const steps = Number.isInteger(Math.log2(first.size)) ? [first.root, ...proof] : proof;
  const [begin, ...rest] = steps;
  if (begin === undefined || proof.length === 0) return false;
  let [node, last] = [first.size - 1, second.size - 1];
  while (node % 2 === 1) [node, last] = [half(node), half(last)];
  let [before, after] = [begin, begin];
  for (const step of rest) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      before = nodeHash(step, before);
      after = nodeHash(step, after);
      while (node % 2 === 0 && node !== 0) [node, last] = [half(node), half(last)];
    } else after = nodeHash(after, step);
    [node, last] = [half(node), half(last)];
  }
  return last === 0 && sameHash(before, first.root) && sameHash(after, second.root);
}

/** Not by shifts: sizes may pass 2³¹. */
function half(value: number): number {
  return Math.floor(value / 2);
}

export function sameHash(a: Hash, b: Hash): boolean {
  return a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i]);
}
