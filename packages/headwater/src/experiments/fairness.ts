/** What makes the arms of an experiment comparable and where they are not, in sentences. Pure. */

import { formatCount } from '../base/format.ts';
import { tQuantile } from '../base/student-t.ts';
import { privaciesOf } from '../runs/results.ts';
import type { ArmSummary, CellFigures } from './comparison.ts';
import type { StoredCell } from './stored.ts';

export interface FairnessInput {
  readonly arms: readonly string[];
  /** Those that finished. */
  readonly cells: readonly StoredCell[];
  readonly figures: readonly CellFigures[];
  readonly rows: readonly ArmSummary[];
  readonly metric: string;
}

/** Batches are drawn anew, examples differ in length: tokens that differ by less are the same budget. */
const SAME_BUDGET = 0.01;

export function fairnessNotes(input: FairnessInput): string[] {
  if (input.cells.length === 0) return ['No cell has finished.', ...missingNotes(input)];
  return [
    intervalNote(input),
    dataNote(input),
    budgetNote(input),
    ...missingNotes(input),
    ...errorNote(input),
    ...privacyNotes(input),
    'Client memory is what `headwater plan` estimates for training by back-propagation; time is from start to end of a cell, its validation, tests and baselines included, on this machine.',
  ];
}

/** Each sentence once, with the arms that it is about. */
function privacyNotes({ arms, cells }: FairnessInput): string[] {
  const statements = new Map<string, Set<string>>();
  for (const { arm, results } of cells) {
    for (const { statement: said } of privaciesOf(results))
      statements.set(said, (statements.get(said) ?? new Set()).add(arm));
  }
  return [...statements].map(([said, by]) => `${arms.filter((arm) => by.has(arm)).join(', ')}: ${said}`);
}

function intervalNote({ rows }: FairnessInput): string {
  const most = Math.max(...rows.map(({ seeds }) => seeds.length));
  if (most < 2) return 'One seed: there are no intervals, and differences may be luck.';
  return `± is half the width of a 95 % interval by Student’s t over ${most} seeds (t = ${tQuantile(most - 1).toFixed(2)}): how far the mean would move with other seeds, not with other data.`;
}

function dataNote({ arms, cells }: FairnessInput): string {
  const first = arms[0]!;
  const differing = (of: (cell: StoredCell) => string) =>
    arms.filter((arm) =>
      cells.some((cell) => {
        const reference = cells.find((other) => other.arm === first && other.seed === cell.seed);
        return cell.arm === arm && reference !== undefined && of(cell) !== of(reference);
      }),
    );
  const otherData = differing(({ dataDigest }) => dataDigest);
  const otherModel = differing(({ modelDigest }) => modelDigest);
  const parts = [
    ...(otherData.length === 0 ? [] : [`other data or another split of them: ${otherData.join(', ')}`]),
    ...(otherModel.length === 0 ? [] : [`another base model: ${otherModel.join(', ')}`]),
  ];
  if (parts.length === 0)
    return 'With the same seed every arm had the same owners, training examples, test rows and base model (equal digests).';
  return `Not all arms are comparable with ${first}. They had ${parts.join('; ')}.`;
}

function budgetNote({ rows, cells, arms }: FairnessInput): string {
  const seen = rows.flatMap(({ arm, subject, tokensSeen }) =>
    subject === 'federated' && tokensSeen !== null ? [{ arm, tokens: tokensSeen.mean }] : [],
  );
  const reference = seen[0];
  if (reference === undefined) return 'No arm has finished.';
  const differing = seen.filter(({ tokens }) => Math.abs(tokens / reference.tokens - 1) > SAME_BUDGET);
  const steps = stepsNote(cells, arms);
  if (differing.length === 0) return `Every arm trained on ${formatCount(reference.tokens)} tokens${steps}.`;
  const list = differing.map(
    ({ arm, tokens }) => `${arm} ${formatCount(tokens)} (${percent(tokens / reference.tokens - 1)})`,
  );
  return `The arms did not train on the same number of tokens: ${reference.arm} ${formatCount(reference.tokens)}, ${list.join(', ')}${steps}.`;
}

function errorNote({ rows }: FairnessInput): string[] {
  if (rows.every(({ aggregationError }) => aggregationError === null)) return [];
  return [
    'Aggregation error is how far a round’s LoRA product B A, with the residual where a method has one, is from the mean of the clients’ products, relative to that mean; a mean over rounds and seeds.',
  ];
}

/** The same tokens in other numbers of steps are another training. */
function stepsNote(cells: readonly StoredCell[], arms: readonly string[]): string {
  const steps = arms.flatMap((arm) => {
    const cell = cells.find((item) => item.arm === arm);
    return cell === undefined ? [] : [{ arm, steps: cell.results.federated.sequentialSteps }];
  });
  const [first] = steps;
  if (first === undefined) return '';
  const same = steps.every((item) => item.steps === first.steps);
  if (same) return `, in ${formatCount(first.steps)} sequential steps of a client`;
  return `; sequential steps of a client: ${steps.map(({ arm, steps: count }) => `${arm} ${formatCount(count)}`).join(', ')}`;
}

function percent(share: number): string {
  return `${share > 0 ? '+' : '−'}${Math.abs(100 * share).toFixed(1)} %`;
}

function missingNotes({ figures }: FairnessInput): string[] {
  const missing = figures.filter(({ status }) => status === 'missing' || status === 'running').length;
  return [
    ...figures.flatMap(({ arm, seed, status, failure }) =>
      status === 'failed' ? [`${arm}, seed ${seed}, failed: ${failure ?? 'no reason is stored'}`] : [],
    ),
    ...(missing === 0
      ? []
      : [`${missing} of ${figures.length} cells are not finished; the same command continues.`]),
  ];
}
