/** What models tell each other about the targets of examples: likeliest tokens with their probabilities. Types alone. */

import type { TokenizedExample } from '../data/types.ts';

/** Of the n targets of an example, in their order: `topK` tokens and their probabilities each. Zeros say nothing. */
export interface TargetDistributions {
  /** int32 [n · k]. */
  readonly ids: Int32Array;
  /** [n · k]. */
  readonly probabilities: Float32Array;
}

export interface DistributionOptions {
  /** k; of a smaller vocabulary all, then zeros. */
  readonly topK: number;
  /** τ: of softmax(logits / τ). */
  readonly temperature: number;
}

export interface ScoredDistributions extends TargetDistributions {
  /** Sum of −log p over the targets, at temperature 1. */
  readonly nll: number;
  readonly numTargets: number;
}

/** The loss of a target becomes (1 − λ) · −log p(y) + λ τ² KL(q ‖ p_τ); of one without q: (1 − λ) · −log p(y). */
export interface Teacher extends DistributionOptions {
  /** λ. */
  readonly weight: number;
  /** q for an example of the training, the same object; undefined: it teaches nothing there. */
  of(example: TokenizedExample): TargetDistributions | undefined;
}
