/**
 * A reference file as data: the batch, the sections (base, adapter), how the optimizer steps were made. Pure parsing of
 * named tensors; shapes and lengths come from the file, nothing is assumed of them.
 */

import { HeadwaterError } from '../base/errors.ts';
import { float32Values } from '../base/half.ts';
import type { Tensor } from '../base/tensor.ts';
import type { Batch } from '../data/types.ts';
import type { OptimizerOptions } from './engine.ts';

export type Tensors = ReadonlyMap<string, Tensor>;

export interface ReferenceInputs {
  readonly batch: Batch;
  /** float mask [B·T]: rows whose logits count. */
  readonly attended: readonly boolean[];
  /** False when the file has no labels, hence no loss. */
  readonly hasLabels: boolean;
  /** Attended tokens of each row. */
  readonly rows: readonly (readonly number[])[];
}

/** Tokens are at their column, as transformers numbers positions; masked tokens see and are seen by none of the others. */
export function referenceInputs(tensors: Tensors): ReferenceInputs {
  const ids = tensors.get('input_ids');
  if (ids === undefined || ids.shape.length !== 2) throw invalid('it has no input_ids [B, T]');
  const [batchSize, length] = ids.shape as [number, number];
  const tokens = integers(ids);
  const size = batchSize * length;
  const column = (name: string, fallback: number): number[] => {
    const value = tensors.get(name);
    if (value === undefined) return new Array<number>(size).fill(fallback);
    if (value.shape.join() !== ids.shape.join())
      throw invalid(`${name} is [${value.shape}], input_ids [${ids.shape}]`);
    return integers(value);
  };
  const mask = column('attention_mask', 1);
  const labels = column('labels', IGNORED);
  const attended = mask.map((value) => value !== 0);
  const rows = Array.from({ length: batchSize }, (_, b) =>
    tokens.slice(b * length, (b + 1) * length).filter((_, t) => attended[b * length + t]),
  );
  const batch = {
    ...{ batchSize, length, tokens: Int32Array.from(tokens), ...targets(labels, length) },
    positions: Int32Array.from({ length: size }, (_, i) => i % length),
    segments: Int32Array.from(mask),
    numTokens: attended.filter(Boolean).length,
    exampleIndices: rows.map((_, i) => i),
  };
  return { batch, attended, hasLabels: tensors.has('labels'), rows };
}

/** Labels with this value are not counted (PyTorch's ignore_index). */
const IGNORED = -100;

/** The label at column t is predicted by the row before it; a label at column 0 has none. */
function targets(labels: readonly number[], length: number) {
  const slots = labels.flatMap((label, i) => (label === IGNORED || i % length === 0 ? [] : [i]));
  const used = slots.length === 0 ? [-1] : slots;
  const isReal = (i: number) => i >= 0;
  return {
    targetIndex: Int32Array.from(used, (i) => (isReal(i) ? i - 1 : 0)),
    targetIds: Int32Array.from(used, (i) => (isReal(i) ? labels[i]! : 0)),
    targetMask: Float32Array.from(used, (i) => (isReal(i) ? 1 : 0)),
    targetExample: Int32Array.from(used, (i) => (isReal(i) ? Math.floor(i / length) : -1)),
    numTargets: slots.length,
  };
}

/** One set of references: the plain model (`base.`) or the model with its adapter (`lora.`, or no prefix). */
export interface Section {
  readonly prefix: string;
  readonly tensors: Tensors;
}

export function sections(tensors: Tensors): { readonly base: Section; readonly adapter: Section } {
  const under = (prefix: string): Section => ({
    prefix,
    tensors: new Map(
      [...tensors]
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, value]) => [name.slice(prefix.length), value]),
    ),
  });
  const lora = under('lora.');
  const base = under('base.');
  if (lora.tensors.size > 0) return { base, adapter: lora };
  const bare = [...tensors].filter(([name]) => !name.startsWith('base.') && !INPUTS.has(name));
  return { base, adapter: { prefix: '', tensors: new Map(bare) } };
}

export const INPUTS: ReadonlySet<string> = new Set(['input_ids', 'attention_mask', 'labels']);

/** Entries of a section below `grad.`, `param.` …, by the names that adapter files use. */
export function named(
  section: Section,
  group: string,
): Map<string, { readonly name: string; readonly value: Tensor }> {
  const entries = [...section.tensors].filter(([name]) => name.startsWith(group));
  return new Map(
    entries.map(([name, value]) => [
      adapterName(name.slice(group.length)),
      { name: section.prefix + name, value },
    ]),
  );
}

/**
 * In memory PEFT inserts the adapter's name: `lora_A.default.weight` is `lora_A.weight` in the file, `ia3_l.default` is
 * `ia3_l`, and a module trained whole is found below `modules_to_save.default`.
 */
function adapterName(name: string): string {
  return name
    .replace('.modules_to_save.default.', '.')
    .replace(/\.lora_magnitude_vector\.default\.weight$/, '.lora_magnitude_vector')
    .replace('.default.', '.')
    .replace(/\.default$/, '');
}

export interface OptimizerSteps {
  readonly options: OptimizerOptions;
  readonly maxGradNorm: number | undefined;
}

/** How the steps were made: `adamw3` of reference.json where it is given, else the values that all such folders share. */
export function optimizerSteps(settings: unknown): OptimizerSteps {
  const given = (settings ?? {}) as Record<string, unknown>;
  const number = (key: string, fallback: number) => (typeof given[key] === 'number' ? given[key] : fallback);
  const [beta1 = 0.9, beta2 = 0.999] = Array.isArray(given.betas) ? (given.betas as number[]) : [];
  return {
    options: {
      ...{ kind: 'adamw', learningRate: number('lr', 1e-2), beta1, beta2, momentum: 0 },
      epsilon: number('eps', 1e-8),
      weightDecay: number('weight_decay', 0.01),
    },
    maxGradNorm: given.max_grad_norm === null ? undefined : number('max_grad_norm', 1),
  };
}

export interface GreedyCase {
  readonly prompt: Int32Array;
  readonly continuation: Int32Array;
}

/**
 * Splits a greedy sequence into prompt and continuation: the prompt is what it shares with a row of the batch. Where the
 * model happened to continue like that row, the shared part is longer than the real prompt, and greedy decoding from it
 * gives the same tokens.
 */
export function greedyCase(
  sequence: readonly number[],
  rows: readonly (readonly number[])[],
): GreedyCase | undefined {
  const shared = Math.max(0, ...rows.map((row) => commonLength(sequence, row)));
  if (shared === 0 || shared === sequence.length) return undefined;
  return {
    prompt: Int32Array.from(sequence.slice(0, shared)),
    continuation: Int32Array.from(sequence.slice(shared)),
  };
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

export function integers({ data }: Tensor): number[] {
  return Array.from(data as ArrayLike<number | bigint>, Number);
}

export function realNumbers(value: Tensor): Float32Array {
  return float32Values(value);
}

function invalid(what: string): HeadwaterError {
  return new HeadwaterError('VERIFY_FAILED', `reference.safetensors cannot be used: ${what}`, {
    hint: 'It needs input_ids, attention_mask and labels beside the reference outputs.',
  });
}
