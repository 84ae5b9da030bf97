/**
 * Weights of a model with adapters written into them, one tensor at a time: W + Σ wᵢ · (Wᵢ′ − W) over the adapters, Wᵢ′ as
 * each kind says. Knows no file format and no kind.
 */

import { HeadwaterError } from '../base/errors.ts';
import type { Params } from '../base/tensor.ts';
import { readWeight } from '../models/checkpoint-node.ts';
import type { Model } from '../models/model.ts';
import type { BoundTuning, MergeWeight } from '../tuning/kind.ts';

export interface WeightedAdapter {
  /** For messages: the folder as the user wrote it. */
  readonly source: string;
  readonly tuning: BoundTuning;
  readonly params: Params;
  /** 1: the adapter as it was trained. */
  readonly weight: number;
}

export interface MergedWeights {
  /** Checkpoint names of the tensors that differ from the base. */
  readonly changed: ReadonlySet<string>;
  /** Any checkpoint tensor of the model as float32, in the layout of the checkpoint. */
  read(name: string): Promise<Float32Array>;
}

type MergeableModel = Pick<Model, 'storedTypes' | 'weights'>;

/** Throws ADAPTER_INVALID for adapters that no base weight can hold. */
export function mergedWeights(model: MergeableModel, adapters: readonly WeightedAdapter[]): MergedWeights {
  const merges = adapters.map((adapter) => ({ weight: adapter.weight, tensors: mergeOf(model, adapter) }));
  const changed = new Set(merges.flatMap(({ tensors }) => [...tensors.keys()]));
  return {
    changed,
    async read(name) {
      const base = await readWeight(model.weights, name);
      const parts = merges.flatMap(({ weight, tensors }) => {
        const merge = tensors.get(name);
        return merge === undefined ? [] : [{ weight, merge }];
      });
      return combine(base, parts);
    },
  };
}

function mergeOf(model: MergeableModel, adapter: WeightedAdapter): ReadonlyMap<string, MergeWeight> {
  const { tuning, params, source } = adapter;
  const refuse = (message: string, hint: string) =>
    new HeadwaterError('ADAPTER_INVALID', message, { where: source, hint });
  const tensors = tuning.merged?.(params);
  if (tensors === undefined) {
    const why =
      tuning.virtual === undefined
        ? 'it adds modules between those of the base'
        : 'it adds positions before every sequence';
    throw refuse(
      `an adapter of kind "${tuning.kind}" cannot be merged: ${why}, which no weight of the base can hold`,
      'Use it beside its base model.',
    );
  }
  const lost = [...tensors.keys()].find((name) => !model.storedTypes.has(name));
  if (lost !== undefined)
    throw refuse(
      `the adapter gives "${lost}" a value, but the base checkpoint stores no such tensor`,
      'Use it beside its base model.',
    );
  return tensors;
}

/** One adapter of weight 1 gives its own values to the last bit; else differences are added up. */
function combine(
  base: Float32Array,
  parts: readonly { readonly weight: number; readonly merge: MergeWeight }[],
): Float32Array {
  const [first] = parts;
  if (first === undefined) return base;
  if (parts.length === 1 && first.weight === 1) return first.merge(base);
  const result = base.slice();
  for (const { weight, merge } of parts) {
    const merged = merge(base);
    for (let i = 0; i < result.length; i++)
      result[i] = (result[i] as number) + weight * ((merged[i] as number) - (base[i] as number));
  }
  return result;
}
