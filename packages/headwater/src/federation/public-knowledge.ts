/**
 * What models tell each other about public texts, as tensors: rows of tokens, and at each target the k likeliest next tokens
 * with their probabilities. Packing, reading and combining; it knows no model and no wire.
 */

import { type Params, type Tensor, tensor } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';
import type { ScoredDistributions, TargetDistributions } from '../training/teacher.ts';
import type { TrainableTensor } from '../tuning/kind.ts';

/** How much is told in a round. */
export interface KnowledgeSize {
  /** R, public rows. */
  readonly rows: number;
  /** L: a row is cut to so many tokens. */
  readonly length: number;
  /** T: a row's first so many targets. */
  readonly tokens: number;
  /** k. */
  readonly topK: number;
}

/** Rows that owners are to judge in this round. */
export const ROWS = 'public.rows';
/** Rows of the round before, which the three below are about. */
export const TAUGHT_ROWS = 'public.taught-rows';
/** Token ids [R, T · k], in float32 exact below 2²⁴; probabilities alike; mean −log p of each row's targets [R]. */
export const IDS = 'public.ids';
export const PROBABILITIES = 'public.probabilities';
export const LOSSES = 'public.losses';

export function rowTensors({ rows, length }: KnowledgeSize): TrainableTensor[] {
  return [ROWS, TAUGHT_ROWS].map((name) => ({ name, shape: [rows, 1 + length] }));
}

/** 4 · R · (2 T k + 1) bytes. */
export function knowledgeTensors({ rows, tokens, topK }: KnowledgeSize): TrainableTensor[] {
  return [
    { name: IDS, shape: [rows, tokens * topK] },
    { name: LOSSES, shape: [rows] },
    { name: PROBABILITIES, shape: [rows, tokens * topK] },
  ];
}

/**
 * Row: 1 + its class or 0, then for each token ±(1 + id), positive where it is a target; zeros behind the end. Of a row that
 * is too long the L tokens up to its T-th target stay, so that targets keep the context next to them.
 */
export function packRows(examples: readonly TokenizedExample[], size: KnowledgeSize): Tensor<'float32'> {
  const width = 1 + size.length;
  const data = new Float32Array(size.rows * width);
  for (const [row, example] of examples.slice(0, size.rows).entries()) {
    const { tokens, supervised, classId } = example;
    const targets = [...supervised.keys()].filter((i) => i > 0 && supervised[i] === 1).slice(0, size.tokens);
    const end = classId === undefined ? (targets.at(-1) ?? -1) + 1 : Math.min(tokens.length, size.length);
    const begin = Math.max(0, end - size.length);
    const isTarget = new Set(targets.filter((i) => i > begin));
    data[row * width] = classId === undefined ? 0 : 1 + classId;
    for (let i = begin; i < end; i++)
      data[row * width + 1 + i - begin] = (isTarget.has(i) ? 1 : -1) * (1 + tokens[i]!);
  }
  return tensor('float32', [size.rows, width], data);
}

/** The rows in their order; undefined where one is empty. */
export function unpackRows({ shape, data }: Tensor<'float32'>): (TokenizedExample | undefined)[] {
  const width = shape[1]!;
  return Array.from({ length: shape[0]! }, (_, row) => {
    const [first, ...rest] = data.subarray(row * width, (row + 1) * width) as unknown as [
      number,
      ...number[],
    ];
    const packed = rest.slice(0, rest.findLastIndex((value) => value !== 0) + 1);
    const supervised = Uint8Array.from(packed, (value) => (value > 0 ? 1 : 0));
    const hasClass = first > 0;
    const numTargets = supervised.reduce((sum, one) => sum + one, hasClass ? 1 : 0);
    if (numTargets === 0) return undefined;
    const tokens = Int32Array.from(packed, (value) => Math.abs(value) - 1);
    return { tokens, supervised, numTargets, ...(hasClass ? { classId: first - 1 } : {}) };
  });
}

/** Undefined: nothing is said about a row. */
export function packKnowledge(
  scored: readonly (ScoredDistributions | undefined)[],
  size: KnowledgeSize,
): Params {
  const width = size.tokens * size.topK;
  const ids = new Float32Array(size.rows * width);
  const probabilities = new Float32Array(size.rows * width);
  const losses = new Float32Array(size.rows);
  for (const [row, own] of scored.entries()) {
    if (own === undefined) continue;
    ids.set(own.ids, row * width);
    probabilities.set(own.probabilities, row * width);
    losses[row] = own.nll / own.numTargets;
  }
  return knowledgeOf({ ids, probabilities, losses }, size);
}

export interface Taught extends TargetDistributions {
  readonly loss: number;
}

/** What is known about each row; undefined: nothing. */
export function unpackKnowledge(
  params: Params,
  { rows, tokens, topK }: KnowledgeSize,
): (Taught | undefined)[] {
  const width = tokens * topK;
  return Array.from({ length: rows }, (_, row) => {
    const part = (name: string) => params.get(name)!.data.subarray(row * width, (row + 1) * width);
    const probabilities = part(PROBABILITIES) as Float32Array;
    if (probabilities.every((q) => q === 0)) return undefined;
    return { ids: Int32Array.from(part(IDS)), probabilities, loss: params.get(LOSSES)!.data[row]! };
  });
}

export interface WeightedKnowledge {
  readonly weight: number;
  readonly knowledge: Params;
}

/**
 * For every target q = Σ_k w_k p_k / Σ_k w_k over what the models named, cut to its k largest and scaled to a sum of 1; a row's
 * loss is Σ_k w_k ℓ_k / Σ_k w_k, at τ = 1 no less than that of the mean (Jensen). `weightsOf`: w of a row from the losses of
 * those who said something about it, and their weights. What is no token id or no probability says nothing.
 */
export function combineKnowledge(
  all: readonly WeightedKnowledge[],
  size: KnowledgeSize,
  weightsOf: (losses: readonly number[], weights: readonly number[]) => readonly number[],
): Params {
  const width = size.tokens * size.topK;
  const ids = new Float32Array(size.rows * width);
  const probabilities = new Float32Array(size.rows * width);
  const losses = new Float32Array(size.rows);
  for (let row = 0; row < size.rows; row++) {
    const known = all.flatMap(({ weight, knowledge }) => {
      const part = (name: string) => knowledge.get(name)!.data.subarray(row * width, (row + 1) * width);
      const own = { weight, ids: part(IDS), probabilities: part(PROBABILITIES) };
      const says = own.probabilities.some((q, i) => isEntry(own.ids[i]!, q));
      return says ? [{ ...own, loss: knowledge.get(LOSSES)!.data[row]! }] : [];
    });
    const chosen = weightsOf(
      known.map(({ loss }) => loss),
      known.map(({ weight }) => weight),
    );
    const total = chosen.reduce((sum, w) => sum + w, 0);
    losses[row] = known.reduce((sum, { loss }, i) => sum + (chosen[i]! * loss) / total, 0);
    for (let at = row * width; at < (row + 1) * width; at += size.topK) {
      const begin = at - row * width;
      const mean = meanOf(known, chosen, begin, begin + size.topK).slice(0, size.topK);
      const mass = mean.reduce((sum, [, q]) => sum + q, 0);
      for (const [j, [id, q]] of mean.entries()) {
        ids[at + j] = id;
        probabilities[at + j] = q / mass;
      }
    }
  }
  return knowledgeOf({ ids, probabilities, losses }, size);
}

interface RowEntries {
  readonly ids: ArrayLike<number>;
  readonly probabilities: ArrayLike<number>;
}

/** Ids and masses, the largest first, the smaller id first of equals. */
function meanOf(
  known: readonly RowEntries[],
  weights: readonly number[],
  begin: number,
  end: number,
): [number, number][] {
  const masses = new Map<number, number>();
  for (const [model, { ids, probabilities }] of known.entries())
    for (let i = begin; i < end; i++) {
      const [id, q] = [ids[i]!, probabilities[i]! * weights[model]!];
      if (isEntry(id, q)) masses.set(id, (masses.get(id) ?? 0) + q);
    }
  return [...masses].sort(([a, p], [b, q]) => q - p || a - b);
}

function isEntry(id: number, probability: number): boolean {
  return Number.isInteger(id) && id >= 0 && probability > 0 && Number.isFinite(probability);
}

function knowledgeOf(
  { ids, probabilities, losses }: Readonly<Record<'ids' | 'probabilities' | 'losses', Float32Array>>,
  size: KnowledgeSize,
): Params {
  const data: Readonly<Record<string, Float32Array>> = {
    [IDS]: ids,
    [LOSSES]: losses,
    [PROBABILITIES]: probabilities,
  };
  return new Map(
    knowledgeTensors(size).map(({ name, shape }) => [name, tensor('float32', shape, data[name]!)]),
  );
}
