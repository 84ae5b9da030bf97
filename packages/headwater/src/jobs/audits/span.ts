/**
 * The span audit of updates: which tokens of an owner's examples lie in the space that the rows of its update span, at the first
 * block of the network. It trains nothing and reads no files; what it is given is what a curious server would see.
 */

import type { Params } from '../../base/tensor.ts';
import { type SpanFound, searchSpan, spanOfRows } from '../../privacy/audit/span.ts';
import type { FirstBlock } from '../../training/first-block.ts';
import type { BoundTuning } from '../../tuning/kind.ts';

/** Layer inputs of every token of the vocabulary, at each position that matters. */
export interface Candidates {
  readonly width: number;
  /** [P · V, D]. */
  readonly rows: Float32Array;
  readonly vocabSize: number;
  /** 1 where the first block does not see positions. */
  readonly positions: number;
}

/** Where the rows of an update lie: `input` in the space of layer inputs; `factor` behind the frozen or given A of a module. */
export type SeenIn = 'lora_A' | 'lora_B' | 'weight';

export interface SpanResult extends SpanFound {
  readonly seenIn: SeenIn;
}

/** At most so many positions are tried where the network embeds them. */
const MAX_POSITIONS = 64;

export async function candidatesOf(
  block: FirstBlock,
  vocabSize: number,
  longest: number,
): Promise<Candidates> {
  const { width } = block;
  const tokens = Int32Array.from({ length: vocabSize }, (_, i) => i);
  const first = await block.inputs(tokens, 0);
  const second = await block.inputs(tokens.subarray(0, 1), 1);
  const seesPositions = second.some((x, i) => Math.abs(x - first[i]!) > 1e-6);
  const positions = seesPositions ? Math.min(longest, MAX_POSITIONS) : 1;
  const rows = new Float32Array(positions * vocabSize * width);
  rows.set(first);
  for (let position = 1; position < positions; position++)
    rows.set(await block.inputs(tokens, position), position * vocabSize * width);
  return { width, rows, vocabSize, positions };
}

/**
 * `update`: of the tuning's tensors; `params`: those that it was trained from, whose A is where B's rows are seen through. `wanted`: so
 * many nearest ones. Every view that the update gives, empty where nothing of the first block travels.
 */
export function auditSpan(
  { modules }: Pick<FirstBlock, 'modules'>,
  tuning: Pick<BoundTuning, 'factors' | 'tensors'>,
  candidates: Candidates,
  { update, params }: { readonly update: Params; readonly params: Params },
  wanted: number,
): SpanResult[] {
  const factors = (tuning.factors ?? []).filter(({ module }) => modules.includes(module));
  const throughA = factors.flatMap(({ a }) => rowsOf(update, a, candidates.width));
  const whole = modules.flatMap((module) => weightRows(update, module, candidates.width));
  const views: SpanResult[] = [];
  if (throughA.length > 0) views.push({ seenIn: 'lora_A', ...search(candidates, throughA, wanted) });
  if (whole.length > 0) views.push({ seenIn: 'weight', ...search(candidates, whole, wanted) });
  const behind = factors.find(({ b }) => update.has(b));
  if (behind !== undefined) {
    const [a, b] = [params.get(behind.a), update.get(behind.b)];
    if (a !== undefined && b !== undefined) {
      const rank = a.shape[0]!;
      const projected = projectedBy(candidates, a.data as Float32Array, rank);
      views.push({ seenIn: 'lora_B', ...search(projected, rowsOf(update, behind.b, rank), wanted) });
    }
  }
  return views;
}

function search(
  { rows, width }: Pick<Candidates, 'rows' | 'width'>,
  seen: readonly Float32Array[],
  wanted: number,
): SpanFound {
  const count = rows.length / width;
  return searchSpan(spanOfRows(seen), count, (i) => rows.subarray(i * width, (i + 1) * width), wanted);
}

/** Token of a candidate, whatever its position. */
export function tokenOf(candidate: number, { vocabSize }: Pick<Candidates, 'vocabSize'>): number {
  return candidate % vocabSize;
}

function rowsOf(update: Params, name: string, width: number): Float32Array[] {
  const tensor = update.get(name);
  if (tensor === undefined || tensor.shape[1] !== width) return [];
  const data = tensor.data as Float32Array;
  return Array.from({ length: tensor.shape[0]! }, (_, row) => data.subarray(row * width, (row + 1) * width));
}

/** Of whole weights [E, D], or [D, E] where a checkpoint stores them so: then columns. */
function weightRows(update: Params, module: string, width: number): Float32Array[] {
  const tensor = update.get(`${module}.weight`);
  if (tensor === undefined) return [];
  const [rows, columns] = tensor.shape as [number, number];
  if (columns === width) return rowsOf(update, `${module}.weight`, width);
  if (rows !== width) return [];
  const data = tensor.data as Float32Array;
  return Array.from({ length: columns }, (_, column) =>
    Float32Array.from({ length: width }, (_, row) => data[row * columns + column]!),
  );
}

/** A x for every candidate: [P · V, R]. */
function projectedBy(
  { rows, width }: Candidates,
  a: Float32Array,
  rank: number,
): Pick<Candidates, 'rows' | 'width'> {
  const count = rows.length / width;
  const projected = new Float32Array(count * rank);
  for (let i = 0; i < count; i++)
    for (let r = 0; r < rank; r++) {
      let dot = 0;
      for (let d = 0; d < width; d++) dot += a[r * width + d]! * rows[i * width + d]!;
      projected[i * rank + r] = dot;
    }
  return { rows: projected, width: rank };
}
