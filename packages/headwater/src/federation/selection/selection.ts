/**
 * Who is asked in a round, as a record: a choice among the owners that may be asked, from what the journal knows of earlier
 * rounds. A pure function of the run's state and seed, so that a replay asks the same owners. It knows no rounds' lives.
 */

import type { z } from 'zod';
import type { Rng } from '../../base/random.ts';

/** What is known of an owner's training in a round that is closed. */
export interface Observation {
  /** Mean over its steps, nats per target; null: it was not told, or not finite. */
  readonly loss: number | null;
  /** Absent: nobody measured it. */
  readonly tookMs?: number;
}

/** The owners that were counted in a closed round. */
export type Trained = Readonly<Record<string, Observation>>;

export interface Candidate {
  readonly owner: string;
  readonly aggregationWeight: number;
  readonly numExamples: number;
}

export interface SelectionContext {
  readonly round: number;
  /** How many to choose, less than there are candidates. */
  readonly count: number;
  /** Sorted by name; nobody else may be asked. */
  readonly candidates: readonly Candidate[];
  /** Closed rounds, the first first. */
  readonly history: readonly Trained[];
  readonly random: Rng;
}

export interface Selection<O> {
  readonly id: string;
  readonly summary: string;
  /** Paper or other origin. */
  readonly source: string;
  readonly options: z.ZodType<O>;
  /** `count` distinct candidates, in any order. */
  choose(context: SelectionContext, options: O): readonly Candidate[];
}
