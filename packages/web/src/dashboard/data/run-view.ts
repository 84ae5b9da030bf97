/** A run as the pages hold it: the rows that were told, brought up to date by each message. Pure. */

import type {
  EvaluationRow,
  OwnerRow,
  RoundRow,
  RunChanges,
  RunFrame,
  RunTotals,
  UpdateRow,
} from '@headwater/runs/view/rows.ts';
import type { RunSummary } from '@headwater/runs/view/summaries.ts';

export type ViewMessage = RunChanges & { readonly summary: RunSummary };

export interface RunView {
  readonly seq: number;
  readonly summary: RunSummary;
  /** Null while the run waits for its owners. */
  readonly frame: RunFrame | null;
  readonly totals: RunTotals | null;
  /** By number. */
  readonly rounds: readonly RoundRow[];
  /** By name. */
  readonly owners: readonly OwnerRow[];
  readonly evaluations: readonly EvaluationRow[];
  /** Null: there are too many owners to hold all. */
  readonly updates: readonly UpdateRow[] | null;
}

export function withMessage(view: RunView | undefined, told: ViewMessage): RunView {
  return {
    seq: told.seq,
    summary: told.summary,
    frame: told.frame ?? view?.frame ?? null,
    totals: told.totals ?? view?.totals ?? null,
    rounds: merged(view?.rounds, told.rounds, (row) => row.round),
    owners: merged(view?.owners, told.owners, (row) => row.owner),
    evaluations: merged(view?.evaluations, told.evaluations, (row) => row.id),
    updates: told.updates === null ? null : [...(view?.updates ?? []), ...told.updates],
  };
}

function merged<T>(
  old: readonly T[] = [],
  fresh: readonly T[],
  keyOf: (row: T) => string | number,
): readonly T[] {
  if (fresh.length === 0) return old;
  const rows = new Map([...old, ...fresh].map((row) => [keyOf(row), row]));
  return [...rows.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

export function isOver({ status }: RunSummary): boolean {
  return status === 'finished' || status === 'failed' || status === 'cancelled';
}

export interface RoundScores {
  readonly round: number;
  readonly row: EvaluationRow;
}

/** Validations in order of their rounds; 0 is the start. */
export function validationsOf({ evaluations }: RunView): RoundScores[] {
  return evaluations
    .filter(({ id }) => id.startsWith('validation/'))
    .map((row) => ({ round: Number(row.id.slice('validation/'.length)), row }))
    .sort((a, b) => a.round - b.round);
}

/** Subjects with their scores on the test examples. */
export function testsOf({
  evaluations,
}: RunView): { readonly subject: string; readonly row: EvaluationRow }[] {
  return evaluations
    .filter(({ id }) => id.startsWith('test/'))
    .map((row) => ({ subject: row.id.slice('test/'.length), row }));
}
