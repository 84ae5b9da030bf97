/**
 * A second pair of factors beside each of LoRA's, and two numbers that say how much of either the network takes in: an
 * adapter that is shared, and one of an owner's own. What is written and merged is the first; who trains which when is not
 * known here.
 */

import type { Rng } from '../base/random.ts';
import { type Params, type Tensor, tensor, zeros } from '../base/tensor.ts';
import type { Value } from '../graph/ir.ts';
import { add, mul } from '../graph/ops/index.ts';
import { fromContribution } from './contribution.ts';
import { withExtraTensors } from './extra-tensors.ts';
import type { BoundTuning, Contribution, LowRankFactors, TrainableTensor, TuningInputs } from './kind.ts';

/** `outputs`: y + w₁ δ(A, B) + w₂ δ(A′, B′). `factors`: y + δ(w₁ A + w₂ A′, w₁ B + w₂ B′). */
export type Join = 'outputs' | 'factors';

/** Names of w₁ and w₂, tensors of one element. They start at 1 and 0: the network of the first adapter alone. */
export const FIRST_WEIGHT = 'first-adapter.weight';
export const SECOND_WEIGHT = 'second-adapter.weight';
const PREFIX = 'second-adapter.';

/** Whether a tensor is one of A′ and B′. */
export function isSecondFactor(name: string): boolean {
  return name.startsWith(PREFIX) && name !== SECOND_WEIGHT;
}

/** The name in the second adapter of a factor of the first. */
export function secondFactor(name: string): string {
  return PREFIX + name;
}

/** Tunings without low-rank factors come back as they are. A′ begins as LoRA's A does, from another draw, B′ as 0. */
export function withSecondAdapter(bound: BoundTuning, join: Join): BoundTuning {
  const { factors, contribute } = bound;
  if (factors === undefined || contribute === undefined) return bound;
  const isFirst = new Set(factors.flatMap(({ a, b }) => [a, b]));
  const doubled = bound.tensors.filter(({ name }) => isFirst.has(name));
  const second = doubled.map(({ name, shape }) => ({ name: secondFactor(name), shape }));
  const values = (_own: Params, random: Rng) => firstValues(factors, doubled, random);
  const { wrap: _, ...extended } = withExtraTensors(bound, [...second, ...WEIGHTS], values);
  return fromContribution({
    ...extended,
    untrained: new Set([...(bound.untrained ?? []), ...WEIGHTS.map(({ name }) => name)]),
    contribute(inputs, mode) {
      const once = declaredOnce(inputs);
      const own = (given: TuningInputs) => contribute.call(bound, given, mode);
      return join === 'outputs' ? joinedOutputs(own, once, isFirst) : joinedFactors(own, once, isFirst);
    },
  });
}

const WEIGHTS: readonly TrainableTensor[] = [FIRST_WEIGHT, SECOND_WEIGHT].map((name) => ({
  name,
  shape: [1],
}));

/** w₁ and w₂ as tensors, to be laid over others. */
export function adapterWeights(first: number, second: number): Params {
  return new Map([
    [FIRST_WEIGHT, tensor('float32', [1], Float32Array.of(first))],
    [SECOND_WEIGHT, tensor('float32', [1], Float32Array.of(second))],
  ]);
}

/** A′ ~ U(−1/√D, 1/√D), B′ = 0. */
function firstValues(
  factors: readonly LowRankFactors[],
  doubled: readonly TrainableTensor[],
  random: Rng,
): Params {
  const shapes = new Map(doubled.map(({ name, shape }) => [name, shape]));
  const fresh = factors.flatMap(({ a, b }): [string, Tensor<'float32'>][] => {
    const stream = random.split(a);
    const [rank, width] = shapes.get(a) as [number, number];
    const bound = 1 / Math.sqrt(width);
    const drawn = Float32Array.from({ length: rank * width }, () => (2 * stream.uniform() - 1) * bound);
    return [
      [secondFactor(a), tensor('float32', [rank, width], drawn)],
      [secondFactor(b), zeros('float32', shapes.get(b)!)],
    ];
  });
  return new Map([...fresh, ...adapterWeights(1, 0)]);
}

type Contribute = (inputs: TuningInputs) => Contribution;

function joinedOutputs(own: Contribute, inputs: TuningInputs, isFirst: ReadonlySet<string>): Contribution {
  const first = own(inputs);
  const second = own({
    trained: ({ name, shape }) =>
      inputs.trained({ name: isFirst.has(name) ? secondFactor(name) : name, shape }),
    dropped: (x, site, dropoutProbability) => inputs.dropped(x, PREFIX + site, dropoutProbability),
  });
  const weights = weightsIn(inputs);
  return {
    ...first,
    delta(site) {
      const [one, other] = [first.delta?.(site), second.delta?.(site)];
      if (one === undefined || other === undefined) return one;
      return add(mul(one, weights.first), mul(other, weights.second));
    },
  };
}

function joinedFactors(own: Contribute, inputs: TuningInputs, isFirst: ReadonlySet<string>): Contribution {
  const weights = weightsIn(inputs);
  return own({
    ...inputs,
    trained({ name, shape }) {
      const value = inputs.trained({ name, shape });
      if (!isFirst.has(name)) return value;
      const other = inputs.trained({ name: secondFactor(name), shape });
      return add(mul(value, weights.first), mul(other, weights.second));
    },
  });
}

function weightsIn(inputs: TuningInputs): { readonly first: Value; readonly second: Value } {
  const of = (name: string) => inputs.trained({ name, shape: [1] });
  return { first: of(FIRST_WEIGHT), second: of(SECOND_WEIGHT) };
}

/** What both adapters read (a head that is trained whole) is one input. */
function declaredOnce(inputs: TuningInputs): TuningInputs {
  const known = new Map<string, Value>();
  return {
    ...inputs,
    trained(tensor) {
      const value = known.get(tensor.name) ?? inputs.trained(tensor);
      known.set(tensor.name, value);
      return value;
    },
  };
}
