/**
 * A reference file as data: the batch, the sections (base, adapter), how the optimizer steps were made. Pure parsing of
 * named tensors; shapes and lengths come from the file, nothing is assumed of them.
 */

import { HeadwaterError } from '../base/errors.ts';
import { float32Values } from '../base/half.ts';
import type { Tensor } from '../base/tensor.ts';
import type { Batch } from '../data/types.ts';
import { ENCODER, PROMPT_EMBEDDINGS } from '../tuning/prompt-config.ts';
import type { OptimizerOptions } from './engine.ts';
import { virtualToken } from './virtual-tokens.ts';

export type Tensors = ReadonlyMap<string, Tensor>;

export interface ReferenceInputs {
  readonly batch: Batch;
  /** float mask [B·T]: rows whose logits count. */
  readonly attended: readonly boolean[];
  /** False when the file has no labels, hence no loss. */
  readonly hasLabels: boolean;
  /** Attended real tokens of each row. */
  readonly rows: readonly (readonly number[])[];
}

/**
 * Tokens are at their column, as transformers numbers positions; masked tokens see and are seen by none of the others.
 * `numVirtual` columns of virtual tokens come first: the last of them predicts the first label.
 */
export function referenceInputs(tensors: Tensors, numVirtual = 0): ReferenceInputs {
  const ids = tensors.get('input_ids');
  if (ids === undefined || ids.shape.length !== 2) throw invalid('it has no input_ids [B, T]');
  const [batchSize, numReal] = ids.shape as [number, number];
  const length = numVirtual + numReal;
  const size = batchSize * length;
  const behind = (values: readonly number[], virtual: (i: number) => number): number[] =>
    Array.from({ length: batchSize }, (_, b) => [
      ...Array.from({ length: numVirtual }, (_v, i) => virtual(i)),
      ...values.slice(b * numReal, (b + 1) * numReal),
    ]).flat();
  const column = (name: string, fallback: number): number[] => {
    const value = tensors.get(name);
    if (value === undefined) return new Array<number>(batchSize * numReal).fill(fallback);
    if (value.shape.join() !== ids.shape.join())
      throw invalid(`${name} is [${value.shape}], input_ids [${ids.shape}]`);
    return integers(value);
  };
  const tokens = behind(integers(ids), virtualToken);
  const mask = behind(column('attention_mask', 1), () => 1);
  const classes = tensors.get('labels')?.shape.join() === `${batchSize}`;
  const learnt = classes
    ? classTargets(integers(tensors.get('labels')!), length)
    : targets(
        behind(column('labels', IGNORED), () => IGNORED),
        length,
      );
  const attended = mask.map((value) => value !== 0);
  const rows = Array.from({ length: batchSize }, (_, b) =>
    tokens.slice(b * length, (b + 1) * length).filter((id, t) => id >= 0 && attended[b * length + t]),
  );
  const batch = {
    ...{ batchSize, length, tokens: Int32Array.from(tokens), ...learnt },
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

/** One class a row, labels [B]: told at its first token. */
function classTargets(labels: readonly number[], length: number) {
  const rows = labels.map((_, b) => b);
  return {
    targetIndex: Int32Array.from(rows, (b) => b * length),
    targetIds: Int32Array.from(labels),
    targetMask: new Float32Array(labels.length).fill(1),
    targetExample: Int32Array.from(rows),
    numTargets: labels.length,
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
  const byName = new Map(
    entries.map(([name, value]) => [
      adapterName(name.slice(group.length)),
      { name: section.prefix + name, value },
    ]),
  );
  return withPromptName(byName);
}

/** A prompt encoder without layers is the prompt itself, which has another name in the file. */
function withPromptName<T>(byName: Map<string, T>): Map<string, T> {
  const encoder = [...byName.keys()].filter((name) => name.startsWith(`${ENCODER}.`));
  const [only] = encoder;
  if (only !== `${ENCODER}.embedding.weight` || encoder.length > 1) return byName;
  return new Map([...byName].map(([name, value]) => [name === only ? PROMPT_EMBEDDINGS : name, value]));
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
