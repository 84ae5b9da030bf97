/**
 * Parameters of the checkpoint that are trained themselves, from their own values: biases, whole modules beside an
 * adapter, chosen layers. Other kinds compose this piece; it knows no kind.
 */

import { type Params, type Tensor, tensor } from '../base/tensor.ts';
import { applied, declaredInputs, fromContribution } from './contribution.ts';
import type { BoundTuning, MergeWeight, ModelLayout, TrainableTensor, TuningInputs } from './kind.ts';

export interface TrainedParameter {
  /** Checkpoint name. */
  readonly parameter: string;
  /** Name in the adapter file. */
  readonly tensor: string;
  readonly shape: readonly number[];
}

/** Checkpoint parameters under their own names. */
export function parametersOf(names: Iterable<string>, layout: ModelLayout): TrainedParameter[] {
  return [...names].map((name) => ({ parameter: name, tensor: name, shape: layout.parameters.get(name)! }));
}

/** A kind that trains these parameters and nothing else. */
export function parameterTuning(
  parts: Pick<BoundTuning, 'kind' | 'options' | 'adapterConfig'>,
  parameters: readonly TrainedParameter[],
): BoundTuning {
  return fromContribution({
    ...parts,
    tensors: sorted(tensorsOf(parameters)),
    init: async (_random, baseValue) => sortedParams(await startingValues(parameters, baseValue)),
    contribute: (inputs) => ({ parameters: valuesOf(parameters, inputs) }),
    merged: (params) => mergedValues(parameters, params),
  });
}

/** `inner` and these parameters of the checkpoint, which it does not touch itself. */
export function alsoTraining(inner: BoundTuning, parameters: readonly TrainedParameter[]): BoundTuning {
  if (parameters.length === 0) return inner;
  const { lowRank: _, perExample: __, contribute, merged, adapterTensors, ...rest } = inner;
  const both = {
    ...rest,
    tensors: sorted([...inner.tensors, ...tensorsOf(parameters)]),
    ...initWith(inner, parameters),
    ...(merged && {
      merged: (params: Params) => new Map([...merged(params), ...mergedValues(parameters, params)]),
    }),
    ...(adapterTensors && {
      adapterTensors: (params: Params) =>
        sortedParams([...adapterTensors(params), ...storedValues(parameters, params)]),
    }),
  };
  return {
    ...both,
    wrap: wrapWith(inner, parameters),
    ...(contribute && {
      contribute(inputs: TuningInputs, mode: { readonly training: boolean }) {
        const contribution = contribute(inputs, mode);
        const values = [...(contribution.parameters ?? []), ...valuesOf(parameters, inputs)];
        return { ...contribution, parameters: new Map(values) };
      },
    }),
  };
}

function initWith(inner: BoundTuning, parameters: readonly TrainedParameter[]): Pick<BoundTuning, 'init'> {
  return {
    async init(random, baseValue, encode) {
      const own = await inner.init(random, baseValue, encode);
      return sortedParams([...own, ...(await startingValues(parameters, baseValue))]);
    },
  };
}

/** `inner` sees a base in which the parameters are trained. */
function wrapWith(inner: BoundTuning, parameters: readonly TrainedParameter[]): BoundTuning['wrap'] {
  return (graph, base, mode) => {
    const { inputs, trainable } = declaredInputs(graph);
    const contribution = { parameters: valuesOf(parameters, inputs) };
    const wrapped = inner.wrap(graph, applied(base, [{ contribution, weight: 1 }]), mode);
    return { ...wrapped, trainable: new Map([...wrapped.trainable, ...trainable]) };
  };
}

function tensorsOf(parameters: readonly TrainedParameter[]): TrainableTensor[] {
  return parameters.map(({ tensor: name, shape }) => ({ name, shape }));
}

function valuesOf(parameters: readonly TrainedParameter[], inputs: TuningInputs) {
  return new Map(
    parameters.map(({ parameter, tensor: name, shape }) => [parameter, inputs.trained({ name, shape })]),
  );
}

async function startingValues(
  parameters: readonly TrainedParameter[],
  baseValue: (name: string) => Promise<Float32Array>,
): Promise<[string, Tensor<'float32'>][]> {
  const values: [string, Tensor<'float32'>][] = [];
  for (const { parameter, tensor: name, shape } of parameters)
    values.push([name, tensor('float32', shape, await baseValue(parameter))]);
  return values;
}

function storedValues(parameters: readonly TrainedParameter[], params: Params) {
  return parameters.map(({ tensor: name }) => [name, params.get(name)!] as const);
}

function mergedValues(parameters: readonly TrainedParameter[], params: Params): Map<string, MergeWeight> {
  return new Map(
    parameters.map(({ parameter, tensor: name }) => [parameter, () => params.get(name)!.data.slice()]),
  );
}

export function sorted(tensors: readonly TrainableTensor[]): TrainableTensor[] {
  return [...tensors].sort((a, b) => (a.name < b.name ? -1 : 1));
}

export function sortedParams(entries: Iterable<readonly [string, Tensor<'float32'>]>): Params {
  return new Map([...entries].sort(([a], [b]) => (a < b ? -1 : 1)));
}
