/**
 * What training minimises, as a record: which examples it learns from, and how the loss of an optimizer step follows from
 * them. One file each, one line in registry.ts. A record knows no optimizer, no federation and no files.
 */

import type { z } from 'zod';
import type { Batch, TokenizedExample } from '../../data/types.ts';
import type { BatchLoss } from '../batch-loss.ts';

export interface Objective<O> {
  /** The one id: file name, recipe, docs. */
  readonly id: string;
  readonly summary: string;
  /** Paper or other origin. */
  readonly source?: string;
  readonly options: z.ZodType<O>;
  /** What it needs of a data schema (`DataSchema.examples`). Omitted: whatever a schema gives has an answer to learn. */
  readonly examples?: 'pairs';
  bind(options: O): BoundObjective;
}

/** An objective with its options inside. */
export interface BoundObjective {
  readonly id: string;
  readonly examples?: 'pairs' | undefined;
  /** The loss is the mean of −log p over all targets, which programs that only score compute too. */
  readonly isMeanOverTargets: boolean;
  /** Sequences that the network reads for each example. */
  readonly sequencesPerExample: number;
  /** In the order in which batches hold them: those of an example side by side. */
  sequences(examples: readonly TokenizedExample[]): readonly TokenizedExample[];
  /** How many there are in a batch of what the loss is a mean over. */
  numTerms(batch: Batch): number;
  /** The batch's part of the loss of a step with so many terms; `sequences` are those that batches were made of. */
  partOf(batch: Batch, numTerms: number, sequences: readonly TokenizedExample[]): BatchLoss;
}
