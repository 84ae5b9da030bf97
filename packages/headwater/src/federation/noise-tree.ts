/**
 * Which noise a release has where it is that of a binary tree over the releases (DP-FTRL: Kairouz et al. 2021, algorithm 1): the sum
 * of the first t updates carries the noise of the nodes in the binary decomposition of t, popcount(t) of them, in place of t. A node
 * is named by the last leaf under it: leaf t completes exactly one that counts, over the last 2^k leaves, 2^k being the largest power
 * of two that divides t. It knows neither keys nor rounds.
 */

import { assert } from '../base/errors.ts';

/** What a plan says of it. */
export interface NoiseTree {
  /** Releases of one tree; then a new one begins. In each tree an owner is counted at most once. */
  readonly leaves: number;
}

/** Of one release. */
export interface TreeRelease {
  /** In its tree, from 1. */
  readonly leaf: number;
  /** Rounds whose nodes are no more part of the sum: their noise leaves it. The round’s own node comes in. */
  readonly removes: readonly number[];
}

/** Nodes of the binary decomposition of `leaf`, the latest first; none for 0. */
export function nodesOf(leaf: number): number[] {
  assert(Number.isSafeInteger(leaf) && leaf >= 0, `${leaf} is no leaf`);
  const nodes: number[] = [];
  for (let end = leaf; end > 0; end -= lowestBit(end)) nodes.push(end);
  return nodes;
}

/** Nodes before a leaf that it closes a larger one over. */
export function nodesClosedBy(leaf: number): number[] {
  const left = new Set(nodesOf(leaf));
  return nodesOf(leaf - 1).filter((node) => !left.has(node));
}

function lowestBit(value: number): number {
  let bit = 1;
  while (value % (2 * bit) === 0) bit *= 2;
  return bit;
}
