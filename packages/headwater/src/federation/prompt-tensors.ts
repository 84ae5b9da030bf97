/**
 * Prompts among trained tensors, by the names of their tuning kinds, and tunings that hold the one matrix of a prompt
 * [P, width] in parts with different owners. It knows no method.
 */

import { type Params, type Tensor, tensor, zeros } from '../base/tensor.ts';
import { derivedTuning } from '../tuning/derived.ts';
import type { BoundTuning, TrainableTensor } from '../tuning/kind.ts';
import { ENCODER, PROMPT_EMBEDDINGS } from '../tuning/prompt-config.ts';
import { selectParams } from './params.ts';

export { PROMPT_EMBEDDINGS };

type Names = readonly { readonly name: string }[];

/** For methods that work on virtual rows themselves: what to say when there are none. */
export function needsPromptRows(tensors: Names): string[] {
  if (tensors.some(({ name }) => name.startsWith(PROMPT_EMBEDDINGS))) return [];
  return [
    'it needs the rows of a prompt: choose tuning.kind prompt-tuning, or prefix-tuning without prefixProjection',
  ];
}

export function needsPrompt(tensors: Names): string[] {
  if (tensors.some(({ name }) => name.startsWith(PROMPT_EMBEDDINGS) || name.startsWith(ENCODER))) return [];
  return ['it needs a prompt: choose tuning.kind prompt-tuning, prefix-tuning or p-tuning'];
}

/** Part of the prompt's matrix: rows × columns from `row` and `column`. */
export interface PromptPart {
  readonly name: string;
  readonly row: number;
  readonly column: number;
  readonly rows: number;
  readonly columns: number;
}

/** Which parts there are follows from nothing, or from the values of other held tensors. */
export interface PromptParts {
  readonly parts: (params: Params) => readonly PromptPart[];
  /** Held tensors beside the parts: zero at first, without gradients. */
  readonly beside?: readonly TrainableTensor[];
}

/**
 * The prompt's matrix in parts that cover it once and whose names and sizes never change; other tensors (a head) stay as they
 * are. Tunings without the matrix are left alone.
 */
export function promptInParts(inner: BoundTuning, { parts, beside = [] }: PromptParts): BoundTuning {
  const matrix = inner.tensors.find(({ name }) => name === PROMPT_EMBEDDINGS);
  if (matrix === undefined) return inner;
  const atRest = new Map(beside.map(({ name, shape }) => [name, zeros('float32', shape)]));
  const held = parts(atRest).map(({ name, rows, columns }) => ({ name, shape: [rows, columns] }));
  const others = inner.tensors.filter(({ name }) => name !== PROMPT_EMBEDDINGS);
  const split = (inputs: Params, params: Params) =>
    new Map([
      ...selectParams(inputs, (name) => name !== PROMPT_EMBEDDINGS),
      ...cut(inputs.get(PROMPT_EMBEDDINGS)!, parts(params)),
      ...atRest,
    ]);
  return derivedTuning(inner, {
    tensors: [...others, ...held, ...beside],
    forward: (params) =>
      new Map([
        ...others.map(({ name }) => [name, params.get(name)!] as const),
        [PROMPT_EMBEDDINGS, pasted(params, parts(params), matrix.shape as [number, number])],
      ]),
    backward: split,
    lift: (inputs) => split(inputs, atRest),
  });
}

function cut(
  { shape, data }: Tensor<'float32'>,
  parts: readonly PromptPart[],
): [string, Tensor<'float32'>][] {
  const width = shape[1]!;
  return parts.map(({ name, row, column, rows, columns }) => {
    const values = new Float32Array(rows * columns);
    for (let r = 0; r < rows; r++) {
      const begin = (row + r) * width + column;
      values.set(data.subarray(begin, begin + columns), r * columns);
    }
    return [name, tensor('float32', [rows, columns], values)];
  });
}

function pasted(
  params: Params,
  parts: readonly PromptPart[],
  shape: readonly [number, number],
): Tensor<'float32'> {
  const values = new Float32Array(shape[0] * shape[1]);
  for (const { name, row, column, rows, columns } of parts) {
    const { data } = params.get(name)!;
    for (let r = 0; r < rows; r++)
      values.set(data.subarray(r * columns, (r + 1) * columns), (row + r) * shape[1] + column);
  }
  return tensor('float32', shape, values);
}
