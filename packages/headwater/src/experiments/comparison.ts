/** What a comparison consists of: plain data, as results.json holds it. */

import type { MeanInterval } from '../base/student-t.ts';
import type { Accuracy } from '../runs/free-riders.ts';
import type { RunResults } from '../runs/results.ts';

/** Sizes in bytes, times in seconds; means over the seeds that finished. */
export interface ArmSummary {
  readonly arm: string;
  /** `federated`, or a baseline that was trained beside it: `base`, `local-only, mean`, `centralised`. */
  readonly subject: string;
  readonly seeds: readonly number[];
  /** Of all test rows together. */
  readonly pooled: MeanInterval | null;
  /** Mean over the owners' own test rows. */
  readonly own: MeanInterval | null;
  readonly loss: MeanInterval | null;
  /** Difference to the first arm with the same seed. */
  readonly difference: MeanInterval | null;
  readonly tokensSeen: MeanInterval | null;
  /** What follows is null for baselines, which send nothing. */
  readonly upBytes: number | null;
  readonly downBytes: number | null;
  readonly rounds: number | null;
  readonly seconds: number | null;
  readonly clientMemoryBytes: number | null;
  /**
   * Mean over rounds and seeds of what the aggregation of LoRA factors lost beside the mean of the clients' products, relative
   * to it (`federation/lora-error.ts`). Null where no round says so.
   */
  readonly aggregationError: number | null;
  /** The same for averaging the factors, whatever the method did with them. */
  readonly averagingError: number | null;
  /** How well free-riders were told apart, means over seeds; absent where no arm watched for them. */
  readonly detection?: DetectionSummary | null;
}

/** Over pairs of an owner and a round. */
export interface DetectionSummary {
  /** All exact checks and S2-WEF together. */
  readonly watch: Accuracy;
  readonly s2Wef: Accuracy;
  readonly wef: Accuracy;
  /** Over owners. */
  readonly owners: Accuracy;
}

export interface CellFigures {
  readonly arm: string;
  readonly seed: number;
  readonly status: RunResults['status'] | 'missing';
  readonly failure: string | null;
  /** All figures on the pooled test sample. */
  readonly test: Readonly<Record<string, number | null>> | null;
  readonly own: number | null;
  readonly upBytes: number;
  readonly downBytes: number;
  readonly rounds: number;
  readonly tokensSeen: number;
  readonly seconds: number;
  /** Digest of the resulting params. */
  readonly params: string | null;
}

export interface Comparison {
  readonly format: 1;
  readonly name: string;
  readonly description: string | null;
  /** The first metric of the first task. */
  readonly metric: string;
  readonly higherIsBetter: boolean;
  readonly chance: number | null;
  readonly interval: '95 % Student t over seeds';
  readonly arms: readonly string[];
  readonly seeds: readonly number[];
  readonly rows: readonly ArmSummary[];
  readonly cells: readonly CellFigures[];
  /** What the numbers are, and where arms are not comparable. */
  readonly notes: readonly string[];
}
