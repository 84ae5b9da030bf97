/**
 * Whether what guards releases can be measured: a metric that the validation gives, a bound on the side where it is bad. It knows of
 * the tasks what their records say of their metrics, and of scores nothing.
 */

import { didYouMean } from '../base/suggest.ts';
import { describeValue } from './describe.ts';
import { type Issue, valueAt } from './issues.ts';
import type { RecipeRecord, Registries } from './registries.ts';
import { mistake } from './rule.ts';

const GATE = 'evaluation.gate';

/** `raw`: with its defaults, where it has no mistakes otherwise. */
export function checkReleases(raw: unknown, { tasks }: Pick<Registries, 'tasks'>): Issue[] {
  const gate = valueAt(raw, GATE.split('.'));
  const vote = valueAt(raw, ['deployment', 'releaseVote']);
  const unmeasured = isValidated(raw)
    ? []
    : [
        ...(gate === undefined ? [] : [mistake(GATE, NO_VALIDATION)]),
        ...(vote === undefined ? [] : [mistake('deployment.releaseVote', NO_VALIDATION)]),
      ];
  const records = recordsOf(raw, tasks);
  return records === undefined ? unmeasured : [...unmeasured, ...gateIssues(raw, records)];
}

const NO_VALIDATION =
  'needs a validation set, whose scores it looks at: give data.validation or data.validationFraction';

function isValidated(raw: unknown): boolean {
  const share = valueAt(raw, ['data', 'validationFraction']);
  return valueAt(raw, ['data', 'validation']) !== undefined || (typeof share === 'number' && share > 0);
}

/** Undefined where one of them is not known: that is a mistake of its own. */
function recordsOf(raw: unknown, tasks: Registries['tasks']): RecipeRecord[] | undefined {
  const chosen = valueAt(raw, ['evaluation', 'tasks']);
  if (!Array.isArray(chosen)) return undefined;
  const records = chosen.map((choice: unknown) => tasks.get(valueAt(choice, ['kind']) as string));
  return records.every((record) => record !== undefined) ? records : undefined;
}

function gateIssues(raw: unknown, records: readonly RecipeRecord[]): Issue[] {
  const named = valueAt(raw, [...GATE.split('.'), 'metric']);
  if (typeof named !== 'string') return [];
  const record = records.find(({ metrics = [] }) => metrics.some(({ id }) => id === named));
  const higherIsBetter = record?.metrics?.find(({ id }) => id === named)?.higherIsBetter ?? false;
  if (record === undefined && named !== 'loss') {
    const known = [...records.flatMap(({ metrics = [] }) => metrics.map(({ id }) => id)), 'loss'];
    const message = `expected a metric of one of the tasks or loss, got ${describeValue(named)}: no task gives it; ${didYouMean(named, known)}`;
    return [mistake(`${GATE}.metric`, message)];
  }
  return [...writingIssues(raw, record, named), ...boundIssues(raw, named, higherIsBetter)];
}

/** Without its score no round would pass. */
function writingIssues(raw: unknown, record: RecipeRecord | undefined, metric: string): Issue[] {
  const writeOn = valueAt(raw, ['evaluation', 'writeOn']) ?? 'test';
  if (record?.writes !== true || writeOn === 'both') return [];
  const message = `${metric} is of ${record.id}, which lets the model write, and that is done on test rows alone: set evaluation.writeOn: both, or choose another metric`;
  return [mistake(`${GATE}.metric`, message)];
}

/** An absolute bound has the name that says on which side of it a score is too bad. */
function boundIssues(raw: unknown, metric: string, higherIsBetter: boolean): Issue[] {
  const [right, wrong] = higherIsBetter ? ['minimum', 'maximum'] : ['maximum', 'minimum'];
  if (valueAt(raw, [...GATE.split('.'), wrong!]) === undefined) return [];
  const message = `${metric} is better the ${higherIsBetter ? 'higher' : 'lower'} it is; set ${right} instead: what is worse is not released`;
  return [mistake(`${GATE}.${wrong}`, message)];
}
