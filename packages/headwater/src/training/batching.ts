/** Temporary: batches until data/batches.ts exists. */

import type { Batch, TokenizedExample } from '../data/types.ts';

export interface BatchOptions {
  readonly batchSize: number;
  readonly maxLength: number;
  readonly packing: boolean;
}

export function toBatches(examples: readonly TokenizedExample[], options: BatchOptions): Batch[] {
  const rows: number[][] = [];
  for (const [i, example] of examples.entries()) {
    const fits = (row: number[]) =>
      row.reduce((n, j) => n + examples[j]!.tokens.length, 0) + example.tokens.length <= options.maxLength;
    const row = options.packing ? rows.find(fits) : undefined;
    if (row === undefined) rows.push([i]);
    else row.push(i);
  }
  const batches: Batch[] = [];
  for (let at = 0; at < rows.length; at += options.batchSize)
    batches.push(batchOf(rows.slice(at, at + options.batchSize), examples, options));
  return batches;
}

const bucket = (n: number) => Math.max(8, Math.ceil(n / 16) * 16);

function batchOf(
  rows: number[][],
  examples: readonly TokenizedExample[],
  { batchSize: B, maxLength }: BatchOptions,
): Batch {
  const cut = (i: number) => Math.min(maxLength, examples[i]!.tokens.length);
  const T = bucket(Math.max(...rows.map((row) => row.reduce((n, i) => n + cut(i), 0))));
  const [tokens, positions, segments] = [new Int32Array(B * T), new Int32Array(B * T), new Int32Array(B * T)];
  const targets: { index: number; id: number; example: number }[] = [];
  let numTokens = 0;
  for (const [r, row] of rows.entries()) {
    let at = r * T;
    for (const [s, i] of row.entries()) {
      const n = cut(i);
      for (let t = 0; t < n; t++) {
        tokens[at + t] = examples[i]!.tokens[t]!;
        positions[at + t] = t;
        segments[at + t] = s + 1;
        if (t > 0 && examples[i]!.supervised[t])
          targets.push({ index: at + t - 1, id: examples[i]!.tokens[t]!, example: i });
      }
      at += n;
      numTokens += n;
    }
  }
  const M = bucket(targets.length);
  const column = (value: (t: (typeof targets)[number]) => number, empty: number) =>
    Int32Array.from({ length: M }, (_, i) => (i < targets.length ? value(targets[i]!) : empty));
  return {
    batchSize: B,
    length: T,
    tokens,
    positions,
    segments,
    targetIndex: column((t) => t.index, 0),
    targetIds: column((t) => t.id, 0),
    targetMask: Float32Array.from({ length: M }, (_, i) => (i < targets.length ? 1 : 0)),
    targetExample: column((t) => t.example, -1),
    numTargets: targets.length,
    numTokens,
    exampleIndices: rows.flat(),
  };
}
