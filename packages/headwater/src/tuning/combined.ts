/**
 * Several adapters on one model at once, each with a name and a weight: linear modules give y + Σ wᵢ · deltaᵢ, parameters of
 * the checkpoint θ + Σ wᵢ (θᵢ − θ). Any of them may be trained, the others are constants. Knows no kind.
 */

import { HeadwaterError } from '../base/errors.ts';
import type { Params, Tensor } from '../base/tensor.ts';
import type { Graph, Value } from '../graph/ir.ts';
import type { Sites } from '../graph/sites.ts';
import { applied, declaredInputs } from './contribution.ts';
import { frozen } from './frozen.ts';
import type { BoundTuning, Contribution, TuningInputs, Wrapped } from './kind.ts';
import { sorted, sortedParams } from './trained-parameters.ts';

export interface NamedAdapter {
  /** Without "/": its tensors are called `<name>/<tensor>`. */
  readonly name: string;
  readonly tuning: BoundTuning;
  readonly weight: number;
  /** Held at these values; omitted: trained. */
  readonly frozen?: Params;
}

/**
 * A tuning whose tensors are those of the trained adapters. It has no adapter format of its own: each adapter is written by
 * its own tuning, from `adapterParams`. Throws OPTION_INVALID for kinds that cannot be weighted and names that clash.
 */
export function combinedTuning(adapters: readonly NamedAdapter[]): BoundTuning {
  check(adapters);
  const trained = adapters.filter(({ frozen }) => frozen === undefined);
  return {
    kind: 'combined',
    options: Object.fromEntries(
      adapters.map(({ name, tuning, weight }) => [name, { kind: tuning.kind, weight }]),
    ),
    tensors: sorted(
      trained.flatMap(({ name, tuning }) =>
        tuning.tensors.map(({ name: tensor, shape }) => ({ name: prefixOf(name) + tensor, shape })),
      ),
    ),
    async init(random, baseValue, encode) {
      const values: [string, Tensor<'float32'>][] = [];
      for (const { name, tuning } of trained)
        values.push(...prefixedParams(name, await tuning.init(random.split(name), baseValue, encode)));
      return sortedParams(values);
    },
    wrap: (graph, base, mode) => wrap(graph, base, adapters, mode),
    adapterConfig: () => undefined,
  };
}

/** An adapter's own tensors as the combined tuning names them. */
export function prefixedParams(name: string, params: Params): Params {
  return new Map([...params].map(([tensor, value]) => [prefixOf(name) + tensor, value]));
}

/** The tensors of one adapter under its own names. */
export function adapterParams(name: string, params: Params): Params {
  const prefix = prefixOf(name);
  const own = [...params].filter(([tensor]) => tensor.startsWith(prefix));
  return new Map(own.map(([tensor, value]) => [tensor.slice(prefix.length), value]));
}

/** An adapter as it was read, with the name that messages call it by. */
export interface ReadAdapter extends Omit<NamedAdapter, 'name' | 'frozen'> {
  readonly source: string;
  readonly params: Params;
}

/**
 * What a network computes with these adapters: nothing changed, one of them as it is, or all by their weights. Throws
 * OPTION_INVALID as `combinedTuning`.
 */
export function tuningOf(adapters: readonly ReadAdapter[]): { tuning: BoundTuning; params: Params } {
  const [first] = adapters;
  if (first === undefined) return { tuning: frozen, params: new Map() };
  if (adapters.length === 1 && first.weight === 1) return first;
  const named = adapters.map((adapter, i) => {
    const ending = adapter.source.split('/').findLast((part) => part !== '') ?? '';
    return { ...adapter, name: `${i + 1} ${ending}` };
  });
  const params = named.flatMap(({ name, params: own }) => [...prefixedParams(name, own)]);
  const parts = named.map(({ name, tuning, weight }) => ({ name, tuning, weight }));
  return { tuning: combinedTuning(parts), params: sortedParams(params) };
}

function prefixOf(name: string): string {
  return `${name}/`;
}

function check(adapters: readonly NamedAdapter[]): void {
  const names = new Set<string>();
  for (const { name, tuning, weight } of adapters) {
    if (name === '' || name.includes('/') || names.has(name))
      throw new HeadwaterError('OPTION_INVALID', `"${name}" cannot name an adapter here`, {
        hint: 'Adapters that work together need names of their own, without "/".',
      });
    names.add(name);
    if (!Number.isFinite(weight))
      throw new HeadwaterError('OPTION_INVALID', `adapter "${name}" has the weight ${weight}`);
    if (tuning.contribute === undefined)
      throw new HeadwaterError(
        'OPTION_INVALID',
        `adapter "${name}" is of kind "${tuning.kind}", which cannot be weighted or work with others`,
        { hint: 'It is no sum of changes to modules or weights. Use it alone, without a weight.' },
      );
  }
}

function wrap(
  graph: Graph,
  base: Sites,
  adapters: readonly NamedAdapter[],
  mode: { readonly training: boolean },
): Wrapped {
  const declared = adapters.map(({ name }) => declaredInputs(graph, prefixOf(name)));
  const parts = adapters.map(({ tuning, weight, frozen }, i) => {
    const { inputs } = declared[i]!;
    const own = frozen === undefined ? inputs : constantInputs(graph, frozen);
    // Dropout belongs to what is trained.
    const training = mode.training && frozen === undefined;
    const contribution: Contribution = tuning.contribute!(own, { training });
    return { contribution, weight };
  });
  return {
    sites: applied(base, parts),
    trainable: new Map<string, Value>(declared.flatMap(({ trainable }) => [...trainable])),
    dropout: declared.flatMap(({ dropout }) => dropout),
  };
}

function constantInputs(graph: Graph, params: Params): TuningInputs {
  return { trained: ({ name }) => graph.constant(params.get(name)!), dropped: (x) => x };
}
