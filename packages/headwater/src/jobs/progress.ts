/** What a run tells while it works, for progress displays: typed events, nothing that decides anything. */

import type { EvaluationResult, RunEvent, Work } from '../federation/events.ts';
import type { StepReport } from '../training/engine.ts';

/** Amounts of work; done / total of both, weighted by measured speed, make a time estimate. */
export interface Amount {
  /** Optimizer steps, all clients and baselines together. */
  readonly steps: number;
  /** Held-out sequences scored, all evaluations together. */
  readonly scored: number;
}

export type Progress =
  | { readonly type: 'preparing'; readonly what: 'model' | 'data' | 'workers'; readonly detail: string }
  /** A hub download; sizes in bytes. */
  | {
      readonly type: 'download';
      readonly file: string;
      readonly doneBytes: number;
      readonly totalBytes: number;
    }
  | {
      readonly type: 'opened';
      readonly resumed: boolean;
      readonly folder: string;
      readonly owners: readonly string[];
      readonly rounds: number;
      readonly cohortSize: number;
      readonly workers: number;
      readonly done: Amount;
      readonly total: Amount;
    }
  /** One optimizer step of a client or a baseline. */
  | {
      readonly type: 'step';
      readonly work: Work;
      readonly report: StepReport;
      readonly done: Amount;
      readonly total: Amount;
    }
  /** `event` is in the journal. */
  | {
      readonly type: 'work-done';
      readonly work: Work;
      readonly event: RunEvent;
      readonly done: Amount;
      readonly total: Amount;
    }
  | {
      readonly type: 'round-closed';
      readonly round: number;
      readonly rounds: number;
    }
  | { readonly type: 'validated'; readonly round: number; readonly result: EvaluationResult }
  | { readonly type: 'published'; readonly folder: string };

export type OnProgress = (progress: Progress) => void;
