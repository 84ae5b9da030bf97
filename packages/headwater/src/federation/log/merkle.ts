/**
 * The Merkle tree of RFC 6962 §2.1 (RFC 9162 §2.1): a list that only grows, its root, and short proofs that an entry is in it and
 * that a longer list begins with a shorter one. It knows no entries, only their hashes, and keeps 64 bytes for each.
 */

import { sha256 } from '@noble/hashes/sha2.js';
import { assert } from '../../base/errors.ts';

/** SHA-256. */
export type Hash = Uint8Array;

const HASH_BYTES = 32;
const LEAF = new Uint8Array([0]);
const NODE = new Uint8Array([1]);

/** SHA-256(0x00 ‖ entry). */
export function leafHash(entry: Uint8Array): Hash {
  return sha256.create().update(LEAF).update(entry).digest();
}

/** SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: Hash, right: Hash): Hash {
  return sha256.create().update(NODE).update(left).update(right).digest();
}

/** Of the empty list. */
export const EMPTY_ROOT: Hash = sha256(new Uint8Array());

export interface MerkleTree {
  readonly size: number;
  append(leaf: Hash): void;
  /** Of the first `size` entries; default: all. */
  root(size?: number): Hash;
  /** PATH(index, D[size]), from the leaf up. 0 ≤ index < size ≤ this size. */
  inclusion(index: number, size?: number): Hash[];
  /** PROOF(first, D[size]); empty for first = 0 and first = size. */
  consistency(first: number, size?: number): Hash[];
}

export function createMerkleTree(): MerkleTree {
  /** levels[k]: the roots of all whole subtrees of 2^k entries, one after the other. */
  const levels: HashList[] = [createHashList()];
  const leaves = levels[0]!;

  function append(leaf: Hash): void {
    leaves.push(leaf);
    for (let level = 0; levels[level]!.length % 2 === 0; level++) {
      const below = levels[level]!;
      levels[level + 1] ??= createHashList();
      levels[level + 1]!.push(nodeHash(below.at(below.length - 2), below.at(below.length - 1)));
    }
  }

  /** Of the entries from `from` on, `count` ≥ 1 of them; `from` is a multiple of the largest power of two ≤ count. */
  function subtree(from: number, count: number): Hash {
    const level = Math.log2(count);
    if (Number.isInteger(level)) return levels[level]!.at(from / count);
    const left = largestPowerBelow(count);
    return nodeHash(subtree(from, left), subtree(from + left, count - left));
  }

  function path(index: number, from: number, count: number): Hash[] {
    if (count === 1) return [];
    const left = largestPowerBelow(count);
    return index < left
      ? [...path(index, from, left), subtree(from + left, count - left)]
      : [...path(index - left, from + left, count - left), subtree(from, left)];
  }

  /** SUBPROOF(first, D, whole) of RFC 6962 §2.1.2. `known`: the verifier has the root of exactly this subtree. */
  function subproof(first: number, from: number, count: number, known: boolean): Hash[] {
    if (first === count) return known ? [] : [subtree(from, count)];
    const left = largestPowerBelow(count);
    return first <= left
      ? [...subproof(first, from, left, known), subtree(from + left, count - left)]
      : [...subproof(first - left, from + left, count - left, false), subtree(from, left)];
  }

  return {
    get size() {
      return leaves.length;
    },
    append,
    root(size = leaves.length) {
      assert(size >= 0 && size <= leaves.length, 'a root of entries that are there');
      return size === 0 ? EMPTY_ROOT : subtree(0, size);
    },
    inclusion(index, size = leaves.length) {
      assert(index >= 0 && index < size && size <= leaves.length, 'an entry that is there');
      return path(index, 0, size);
    },
    consistency(first, size = leaves.length) {
      assert(first >= 0 && first <= size && size <= leaves.length, 'a shorter list');
      return first === 0 || first === size ? [] : subproof(first, 0, size, true);
    },
  };
}

/** The largest power of two below `count` ≥ 2. */
function largestPowerBelow(count: number): number {
  return 2 ** (Math.ceil(Math.log2(count)) - 1);
}

interface HashList {
  readonly length: number;
  push(hash: Hash): void;
  at(index: number): Hash;
}

function createHashList(): HashList {
  let bytes = new Uint8Array(16 * HASH_BYTES);
  let length = 0;
  return {
    get length() {
      return length;
    },
    push(hash) {
      if ((length + 1) * HASH_BYTES > bytes.byteLength) {
        const larger = new Uint8Array(2 * bytes.byteLength);
        larger.set(bytes);
        bytes = larger;
      }
      bytes.set(hash, length * HASH_BYTES);
      length += 1;
    },
    at: (index) => bytes.slice(index * HASH_BYTES, (index + 1) * HASH_BYTES),
  };
}
