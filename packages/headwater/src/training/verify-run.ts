/** Computes what a section of a reference holds and compares it: logits, loss, gradients, optimizer steps, greedy tokens. */

import type { Params, Tensor } from '../base/tensor.ts';
import { tensor } from '../base/tensor.ts';
import type { ModelShape } from '../models/model.ts';
import { accumulatedGradients, targetBatches } from './accumulate.ts';
import { clipToNorm, globalNorm } from './clip.ts';
import { generateAll } from './generation/generate.ts';
import { initialState, optimizerStep } from './optimizers/optimizer.ts';
import { optimizers } from './optimizers/registry.ts';
import type { Runner } from './runner.ts';
import { type Comparison, compare, compareTokens, type Pair, TOLERANCES } from './verify.ts';
import {
  greedyCase,
  integers,
  named,
  type OptimizerSteps,
  type ReferenceInputs,
  realNumbers,
  type Section,
} from './verify-reference.ts';

/** A model under a tuning, with the values it starts from. */
export interface Subject {
  readonly runner: Runner;
  readonly params: Params;
  readonly shape: ModelShape;
  /** What references may call a trained tensor besides its name. */
  readonly otherNames?: (name: string) => readonly string[];
}

export interface SectionResult {
  readonly comparisons: readonly Comparison[];
  /** Full names of references that have no counterpart here. */
  readonly unmatched: readonly string[];
}

/** Logits where the attention mask is 1; of a classifier, [B, V], those of each sequence's first row. */
export async function compareLogits(
  what: string,
  section: Section,
  { runner, params, shape }: Subject,
  { batch, attended }: ReferenceInputs,
): Promise<Comparison | undefined> {
  const reference = section.tensors.get('logits');
  if (reference === undefined) return undefined;
  const V = shape.numLogits;
  const got = await runner.logits(params, batch);
  const row = (values: Float32Array, i: number) => values.subarray(i * V, (i + 1) * V);
  const rows = (values: Float32Array, which: readonly number[]) =>
    Float32Array.from(which.flatMap((i) => [...row(values, i)]));
  const everywhere = (values: Float32Array) =>
    values.length === attended.length * V
      ? rows(
          values,
          attended.flatMap((yes, i) => (yes ? [i] : [])),
        )
      : values;
  const perSequence = reference.shape.length === 2;
  const firstRows = Array.from({ length: batch.batchSize }, (_, b) => b * (got.length / V / batch.batchSize));
  const pair = {
    name: `${section.prefix}logits`,
    got: perSequence ? rows(got, firstRows) : everywhere(got),
    reference: perSequence ? realNumbers(reference) : everywhere(realNumbers(reference)),
  };
  return compare(what, [pair], TOLERANCES.values);
}

/** Loss and, for every reference gradient, ours. */
export async function compareGradients(
  what: string,
  section: Section,
  { runner, params, otherNames }: Subject,
  { batch }: ReferenceInputs,
): Promise<SectionResult> {
  const { loss, grads } = await accumulatedGradients(runner, params, targetBatches([batch]));
  const comparisons: Comparison[] = [];
  const reference = section.tensors.get('loss');
  if (reference !== undefined) {
    const pair = { name: `${section.prefix}loss`, got: [loss], reference: realNumbers(reference) };
    comparisons.push(compare(`${what} loss`, [pair], TOLERANCES.losses));
  }
  const { pairs, unmatched } = paired(named(section, 'grad.'), grads, otherNames);
  if (pairs.length > 0)
    comparisons.push(compare(`${what} gradients`, pairs, TOLERANCES.values, { isGradient: true }));
  return { comparisons, unmatched };
}

/** Starting values: the adapter file against the reference's own copy. */
export function compareStart(what: string, section: Section, params: Params): SectionResult {
  const { pairs, unmatched } = paired(named(section, 'param.'), params);
  const comparisons = pairs.length === 0 ? [] : [compare(`${what} starting values`, pairs, TOLERANCES.equal)];
  return { comparisons, unmatched };
}

/** Optimizer steps on the same batch: the loss before each and the parameters after the last. */
export async function compareSteps(
  what: string,
  group: string,
  section: Section,
  { runner, params }: Subject,
  { batch }: ReferenceInputs,
  { options, maxGradNorm }: OptimizerSteps,
): Promise<SectionResult> {
  const reference = section.tensors.get(`${group}.losses`);
  const after = named(section, `${group}.param.`);
  if (reference === undefined) return { comparisons: [], unmatched: [] };
  const optimizer = optimizers[options.kind];
  const current = new Map<string, Tensor<'float32'>>(
    [...params].map(([name, { shape, data }]) => [name, tensor('float32', shape, data.slice())]),
  );
  const state = initialState(optimizer, current, options);
  const losses: number[] = [];
  for (const _ of realNumbers(reference)) {
    const { loss, grads } = await accumulatedGradients(runner, current, targetBatches([batch]));
    losses.push(loss);
    if (maxGradNorm !== undefined) clipToNorm(grads, globalNorm(grads), maxGradNorm);
    optimizerStep(optimizer, current, grads, state, options, options.learningRate);
  }
  const lossPair = {
    name: `${section.prefix}${group}.losses`,
    got: losses,
    reference: realNumbers(reference),
  };
  const { pairs, unmatched } = paired(after, current);
  const label = `${what} after ${losses.length} AdamW steps`;
  return {
    comparisons: [
      compare(`${label}: losses`, [lossPair], TOLERANCES.losses),
      ...(pairs.length === 0 ? [] : [compare(`${label}: parameters`, pairs, TOLERANCES.parameters)]),
    ],
    unmatched,
  };
}

/** Greedy tokens over the key-value cache. A sequence that starts like no row of the batch is left unmatched. */
export async function compareGreedy(
  what: string,
  section: Section,
  { runner, params, shape }: Subject,
  { rows }: ReferenceInputs,
): Promise<SectionResult> {
  const reference = section.tensors.get('greedy');
  if (reference === undefined) return { comparisons: [], unmatched: [] };
  const name = `${section.prefix}greedy`;
  const length = reference.shape.at(-1)!;
  const ids = integers(reference);
  const pairs: Pair[] = [];
  for (let start = 0; start < ids.length; start += length) {
    const found = greedyCase(ids.slice(start, start + length), rows);
    if (found === undefined) return { comparisons: [], unmatched: [name] };
    const { prompt, continuation } = found;
    const options = { ...GREEDY, maxNewTokens: continuation.length };
    const [got] = await generateAll({ runner, params, shape }, [{ prompt, options }], 1);
    pairs.push({ name, got: got!.tokens, reference: continuation });
  }
  return { comparisons: [compareTokens(`${what} greedy tokens`, pairs)], unmatched: [] };
}

const GREEDY = { stopTokenIds: [], temperature: 0, topP: 1, topK: 0, seedPath: ['verify'] };

function paired(
  references: ReadonlyMap<string, { readonly name: string; readonly value: Tensor }>,
  ours: Params,
  otherNames: Subject['otherNames'] = () => [],
): { readonly pairs: Pair[]; readonly unmatched: string[] } {
  const own = new Map([...ours.keys()].flatMap((name) => otherNames(name).map((other) => [other, name])));
  const pairs: Pair[] = [];
  const unmatched: string[] = [];
  for (const [key, { name, value }] of references) {
    const got = (ours.get(key) ?? ours.get(own.get(key) ?? ''))?.data;
    if (got === undefined) unmatched.push(name);
    else pairs.push({ name, got, reference: realNumbers(value) });
  }
  return { pairs, unmatched };
}
