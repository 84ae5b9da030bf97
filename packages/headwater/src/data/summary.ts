/** Who holds what, as data for tables and reports; it prints nothing. */

import { numTargetsOf, numTokensOf } from './pairs.ts';
import type { Partition } from './partition/partitioner.ts';
import type { ExampleMeta, TokenizedExample } from './types.ts';

export interface OwnerSummary {
  readonly owner: string;
  readonly numExamples: number;
  /** 0 when nothing was tokenized yet. */
  readonly numTokens: number;
  readonly numTargets: number;
  /** Different labels held; 0 for data without labels. */
  readonly numLabels: number;
  /** Most frequent first (ties by name). */
  readonly labels: readonly { readonly label: string; readonly numExamples: number }[];
}

export interface DataSummary {
  readonly owners: readonly OwnerSummary[];
  readonly total: OwnerSummary;
}

/** What tokenizeExamples returns, of the same examples. */
export interface SummaryTokens {
  readonly tokenized: readonly TokenizedExample[];
  readonly source: readonly number[];
}

export function summarizePartition(
  examples: readonly { readonly meta: ExampleMeta }[],
  partition: Partition,
  tokens?: SummaryTokens,
): DataSummary {
  const sizes = tokenSizes(examples.length, tokens);
  const summarize = (owner: string, positions: readonly number[]): OwnerSummary => {
    const labels = labelCounts(positions.map((position) => examples[position]?.meta.label));
    const sum = (counts: Float64Array) => positions.reduce((n, position) => n + (counts[position] ?? 0), 0);
    return {
      owner,
      numExamples: positions.length,
      numTokens: sum(sizes.tokens),
      numTargets: sum(sizes.targets),
      numLabels: labels.length,
      labels,
    };
  };
  return {
    owners: [...partition].map(([owner, positions]) => summarize(owner, positions)),
    total: summarize('all', [...partition.values()].flat()),
  };
}

/** Tokens and targets per example; one example may have become several sequences. */
function tokenSizes(count: number, tokens: SummaryTokens | undefined) {
  const sizes = { tokens: new Float64Array(count), targets: new Float64Array(count) };
  tokens?.tokenized.forEach((item, i) => {
    const position = tokens.source[i] as number;
    sizes.tokens[position] = (sizes.tokens[position] as number) + numTokensOf(item);
    sizes.targets[position] = (sizes.targets[position] as number) + numTargetsOf(item);
  });
  return sizes;
}

function labelCounts(labels: readonly (string | undefined)[]): { label: string; numExamples: number }[] {
  const counts = new Map<string, number>();
  for (const label of labels) if (label !== undefined) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts]
    .map(([label, numExamples]) => ({ label, numExamples }))
    .sort((a, b) => b.numExamples - a.numExamples || (a.label < b.label ? -1 : 1));
}
