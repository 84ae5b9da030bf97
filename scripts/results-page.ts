/**
 * docs/results.md: the words of docs/results/page.md with the tables that `headwater compare` stored in docs/results. Where a
 * table is wanted, the words say `<!-- table: NAME -->` (`without factors`: without what averaging LoRA's factors loses),
 * `<!-- detection: NAME -->` for who was named a free-rider, or `<!-- unlearning -->`. No number of a table is written by hand. Other
 * pages link to a table by its experiment's name.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { formatBytes } from '../packages/headwater/src/base/format.ts';
import type { ArmSummary, Comparison } from '../packages/headwater/src/experiments/comparison.ts';
import { loadExperiment } from '../packages/headwater/src/experiments/load.ts';
import { detectionTable, nameOf, scoreText } from '../packages/headwater/src/experiments/table.ts';
import { formatScore, metricLabel } from '../packages/headwater/src/report/metrics.ts';
import { unlearningTables } from './unlearning-table.ts';

export const STORED = join(import.meta.dirname, '../docs/results');

/** What `npm run results:unlearning` stores; no experiment of `headwater compare`. */
export const STORED_UNLEARNING = join(STORED, 'unlearning/results.json');

const EXPERIMENTS = join(import.meta.dirname, '../packages/headwater/recipes/experiments');

export function resultsPage(): string {
  const words = readFileSync(join(STORED, 'page.md'), 'utf8');
  return words
    .replaceAll(
      /^##+ \([a-z]\) ([a-z-]+)$/gm,
      (heading, name: string) => `<a id="${name}"></a>\n\n${heading}`,
    )
    .replaceAll('<!-- unlearning -->', () =>
      unlearningTables(JSON.parse(readFileSync(STORED_UNLEARNING, 'utf8'))),
    )
    .replaceAll(/<!-- table: ([a-z0-9-]+)( without factors)? -->/g, (_, name: string, without?: string) =>
      tableOf(without === undefined ? stored(name) : withoutFactors(stored(name))),
    )
    .replaceAll(/<!-- detection: ([a-z0-9-]+) -->/g, (_, name: string) => detectionOf(stored(name)));
}

function withoutFactors(comparison: Comparison): Comparison {
  const rows = comparison.rows.map((row) => ({ ...row, aggregationError: null, averagingError: null }));
  return { ...comparison, rows };
}

function detectionOf(comparison: Comparison): string {
  const { head, rows } = detectionTable(comparison)!;
  const lines = [head, head.map((_, i) => (i === 0 ? '---' : '---:')), ...rows.map(({ cells }) => cells)];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** The names of the experiments whose figures are stored. */
export function storedNames(): string[] {
  return readdirSync(STORED)
    .filter((file) => file.endsWith('.json'))
    .map((file) => basename(file, '.json'))
    .sort();
}

/** Names of the stored experiments with an arm of each method. */
export async function resultsByMethod(): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const name of storedNames()) {
    const { cells } = await loadExperiment(join(EXPERIMENTS, `${name}.yaml`));
    const methods = new Set(cells.map(({ recipe }) => recipe.federation.method.kind));
    for (const method of methods) found.set(method, [...(found.get(method) ?? []), name]);
  }
  return found;
}

function stored(name: string): Comparison {
  return JSON.parse(readFileSync(join(STORED, `${name}.json`), 'utf8')) as Comparison;
}

interface Column {
  readonly head: string;
  readonly of: (row: ArmSummary) => string;
  /** Left out where no row has it. */
  readonly value: (row: ArmSummary) => unknown;
}

function tableOf(comparison: Comparison): string {
  const { metric, chance, rows } = comparison;
  const columns = columnsOf(comparison).filter(({ value }) => rows.some((row) => value(row) !== null));
  const last =
    chance === null ? [] : [['chance', formatScore(metric, chance), ...columns.slice(2).map(() => '')]];
  return [
    columns.map(({ head }) => head),
    columns.map((_, i) => (i === 0 ? '---' : '---:')),
    ...rows.map((row) => columns.map(({ of }) => of(row))),
    ...last,
  ]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

function columnsOf(comparison: Comparison): Column[] {
  const { metric, arms } = comparison;
  const front = new Set(undominated(comparison));
  return [
    { head: '', of: (row) => nameOf(row, comparison), value: ({ arm }) => arm },
    {
      head: `${metricLabel(metric)}, all tests`,
      of: ({ pooled }) => scoreText(metric, pooled),
      value: ({ pooled }) => pooled,
    },
    {
      head: `beside ${arms[0]}`,
      of: ({ difference }) => differenceText(metric, difference),
      value: ({ difference }) => difference,
    },
    { head: 'own tests', of: ({ own }) => scoreText(metric, own), value: ({ own }) => own },
    ...(metric === 'loss'
      ? []
      : [
          {
            head: 'loss',
            of: ({ loss }: ArmSummary) => scoreText('loss', loss),
            value: ({ loss }: ArmSummary) => loss,
          },
        ]),
    {
      head: 'averaging the factors would lose',
      of: ({ averagingError }) => shareText(averagingError),
      value: ({ averagingError }) => averagingError,
    },
    {
      head: 'this method lost',
      of: ({ aggregationError }) => shareText(aggregationError),
      value: ({ aggregationError }) => aggregationError,
    },
    { head: 'sent up', of: ({ upBytes }) => bytesText(upBytes), value: ({ upBytes }) => upBytes },
    { head: 'received', of: ({ downBytes }) => bytesText(downBytes), value: ({ downBytes }) => downBytes },
    {
      head: 'on the front',
      of: (row) => (front.has(row) ? 'yes' : ''),
      value: (row) => (front.size > 1 && front.has(row) ? true : null),
    },
  ];
}

/** Arms that no other arm beats in quality with as few bytes. */
function undominated({ rows, higherIsBetter }: Comparison): ArmSummary[] {
  const arms = rows.filter(({ subject, pooled }) => subject === 'federated' && pooled !== null);
  const quality = ({ pooled }: ArmSummary) => (higherIsBetter ? 1 : -1) * pooled!.mean;
  const bytes = ({ upBytes, downBytes }: ArmSummary) => (upBytes ?? 0) + (downBytes ?? 0);
  return arms.filter(
    (row) =>
      !arms.some(
        (other) =>
          quality(other) >= quality(row) &&
          bytes(other) <= bytes(row) &&
          (quality(other) > quality(row) || bytes(other) < bytes(row)),
      ),
  );
}

/** In bold where the interval of the differences leaves out 0. */
function differenceText(metric: string, difference: ArmSummary['difference']): string {
  if (difference === null) return '';
  const sign = difference.mean < 0 ? '−' : '+';
  const text = sign + scoreText(metric, { ...difference, mean: Math.abs(difference.mean) });
  return difference.halfWidth !== null && Math.abs(difference.mean) > difference.halfWidth
    ? `**${text}**`
    : text;
}

/** Below a ten thousandth of a percent it is rounding. */
function shareText(share: number | null): string {
  if (share === null) return '';
  if (share < 1e-6) return '0 %';
  return `${share < 0.995 ? (100 * share).toPrecision(2) : (100 * share).toFixed(0)} %`;
}

function bytesText(bytes: number | null): string {
  return bytes === null ? '' : formatBytes(Math.round(bytes));
}
