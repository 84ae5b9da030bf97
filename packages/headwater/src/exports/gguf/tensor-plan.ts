/** From tensors of a checkpoint to tensors of a GGUF file: names, order of rows, storage types. Reads values when asked. */

import type { Model } from '../../models/model.ts';
import type { MergedWeights } from '../merged-weights.ts';
import type { GgufArchitecture, GgufFacts, TensorRule } from './architecture.ts';
import { unsupported } from './facts.ts';
import { GGUF_TENSOR_TYPES, type GgufTensorType } from './format.ts';
import type { GgufTensorSource } from './write-file.ts';

export interface NamedRule {
  readonly rule: TensorRule;
  /** Name in the file, without `.weight` or `.bias`. */
  readonly to: string;
}

/** The rule for a module (`model.layers.3.mlp.up_proj`); throws MODEL_UNSUPPORTED when llama.cpp has no such module. */
export function ruleFor(architecture: GgufArchitecture, module: string, facts: GgufFacts): NamedRule {
  const layer = /\.(\d+)\./.exec(module)?.[1];
  const pattern = layer === undefined ? module : module.replace(`.${layer}.`, '.{}.');
  const rule = architecture.tensors.find(({ from }) => from === pattern);
  if (rule === undefined) throw unsupported(facts, `llama.cpp has no "${module}" in ${architecture.ggufId}`);
  return { rule, to: rule.to.replace('{}', layer ?? '') };
}

export function modelTensors(
  model: Model,
  architecture: GgufArchitecture,
  facts: GgufFacts,
  weights: MergedWeights,
  type: GgufTensorType,
): GgufTensorSource[] {
  const transposed = new Set(
    model.definition.linears.flatMap(({ module, stored }) =>
      stored === 'in-out' ? [`${module}.weight`] : [],
    ),
  );
  const tensors = [...model.definition.parameters].map(([name, shape]): GgufTensorSource => {
    const at = name.lastIndexOf('.');
    const { rule, to } = ruleFor(architecture, name.slice(0, at), facts);
    const flip = transposed.has(name);
    const rows = flip ? [...shape].reverse() : shape;
    const read = async () => {
      const stored = await weights.read(name);
      const values = flip ? transposedMatrix(stored, shape as [number, number]) : stored;
      return arranged(values, rows, rule, facts);
    };
    return { name: `${to}${name.slice(at)}`, shape: rows, type: storageType(type, rows, to), read };
  });
  const extra = architecture.extraTensors?.(facts) ?? [];
  return [
    ...extra.map(({ name, values }): GgufTensorSource => {
      return { name, shape: [values.length], type: 'f32', read: async () => values };
    }),
    ...tensors,
  ];
}

/** Vectors and learned positions stay float32, as llama.cpp's kernels want them; rows that are no whole blocks take f16. */
export function storageType(type: GgufTensorType, shape: readonly number[], to = ''): GgufTensorType {
  if (shape.length < 2 || to === 'position_embd') return 'f32';
  return (shape.at(-1) as number) % GGUF_TENSOR_TYPES[type].blockValues === 0 ? type : 'f16';
}

/** Rows in llama.cpp's order, with the rule's constants; the given array itself where nothing changes. */
export function arranged(
  values: Float32Array,
  shape: readonly number[],
  { rows, plus = 0, times }: TensorRule,
  facts: GgufFacts,
): Float32Array {
  const factor = times?.(facts) ?? 1;
  const changed = plus === 0 && factor === 1 ? values : values.map((value) => (value + plus) * factor);
  if (rows === undefined) return changed;
  const numRows = shape[0] as number;
  const width = values.length / numRows;
  const result = new Float32Array(values.length);
  for (const [row, from] of rows(facts, numRows).entries())
    result.set(changed.subarray(from * width, (from + 1) * width), row * width);
  return result;
}

/** [D, E] → [E, D]. */
function transposedMatrix(values: Float32Array, [rows, columns]: readonly [number, number]): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      result[column * rows + row] = values[row * columns + column] as number;
  return result;
}
