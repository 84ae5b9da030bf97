/** Tree aggregation (DP-FTRL: Kairouz et al. 2021): prefix sums with the noise of a binary tree. Knows how much a record touches. */

import type { PrivacySteps } from './steps.ts';

export interface TreePlan {
  /** Noise standard deviation of one node / L2 norm of one leaf. */
  readonly noiseMultiplier: number;
  /** Leaves of one tree: releases before a restart. */
  readonly leaves: number;
  /** Trees that one record takes part in, once in each. */
  readonly trees: number;
}

/**
 * A record is in one leaf and so in the ⌈log₂(leaves + 1)⌉ nodes above it: as many Gaussian releases without sampling, for any order of
 * records and any dependence of later leaves on earlier sums.
 */
export function treeSteps({ noiseMultiplier, leaves, trees }: TreePlan): PrivacySteps {
  const levels = leaves === 0 ? 0 : Math.floor(Math.log2(leaves)) + 1;
  return { sampling: { kind: 'none' }, noiseMultiplier, steps: levels * trees };
}
