/**
 * The little network that some prompts are trained through: an embedding [P, D₀] and linear layers with an activation
 * between them, e.g. `mlp(E) = W₃ relu(W₂ relu(W₁ E))`. In a graph for training, and on plain arrays for the adapter
 * file, which holds the result alone. Names and initial values are PEFT's.
 */

import type { Rng } from '../base/random.ts';
import { type Params, type Tensor, tensor } from '../base/tensor.ts';
import type { Value } from '../graph/ir.ts';
import { add, matmul, relu, tanh } from '../graph/ops/index.ts';
import type { TrainableTensor } from './kind.ts';
import { ENCODER } from './prompt-config.ts';

export interface PromptEncoder {
  /** P. */
  readonly count: number;
  /** Name of the layers in PEFT's encoder; they stand at 0, 2, 4 …, activations between them. */
  readonly layers: 'mlp_head' | 'transform';
  /** Widths from the embedding to the result: n layers have n + 1. */
  readonly widths: readonly [number, number, ...number[]];
  readonly activation: 'relu' | 'tanh';
}

const EMBEDDING = `${ENCODER}.embedding.weight`;

interface Layer {
  readonly weight: TrainableTensor;
  readonly bias: TrainableTensor;
}

function layersOf({ layers, widths }: PromptEncoder): Layer[] {
  return widths.slice(1).map((outFeatures, i) => {
    const name = `${ENCODER}.${layers}.${2 * i}`;
    return {
      weight: { name: `${name}.weight`, shape: [outFeatures, widths[i] as number] },
      bias: { name: `${name}.bias`, shape: [outFeatures] },
    };
  });
}

/** In order of their names. */
export function encoderTensors(encoder: PromptEncoder): TrainableTensor[] {
  const embedding = { name: EMBEDDING, shape: [encoder.count, encoder.widths[0]] };
  const all = [embedding, ...layersOf(encoder).flatMap(({ weight, bias }) => [weight, bias])];
  return all.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** E ~ N(0, 1); weights and biases ~ U(−1/√D, 1/√D), D the layer's in-features. */
export function initialEncoder(encoder: PromptEncoder, random: Rng): Map<string, Tensor<'float32'>> {
  const bounds = new Map(
    layersOf(encoder).flatMap(({ weight, bias }) => {
      const bound = 1 / Math.sqrt(weight.shape[1] as number);
      return [weight, bias].map(({ name }) => [name, bound] as const);
    }),
  );
  return new Map(
    encoderTensors(encoder).map(({ name, shape }) => {
      const stream = random.split(name);
      const bound = bounds.get(name);
      const draw = bound === undefined ? () => stream.normal() : () => (2 * stream.uniform() - 1) * bound;
      return [name, filled(shape, draw)];
    }),
  );
}

export function filled(shape: readonly number[], draw: () => number): Tensor<'float32'> {
  const length = shape.reduce((size, dim) => size * dim, 1);
  return tensor('float32', shape, Float32Array.from({ length }, draw));
}

/** [P, width] in a graph, from the graph inputs of the trained tensors. */
export function encoded(encoder: PromptEncoder, trainable: ReadonlyMap<string, Value>): Value {
  const activation = encoder.activation === 'relu' ? relu : tanh;
  const at = ({ name }: TrainableTensor) => trainable.get(name)!;
  return layersOf(encoder).reduce(
    (x, { weight, bias }, i) =>
      add(matmul(i === 0 ? x : activation(x), at(weight), { transB: true }), at(bias)),
    trainable.get(EMBEDDING)!,
  );
}

/** The same from values, in float64, rounded at the end. */
export function encodedValues(encoder: PromptEncoder, params: Params): Tensor<'float32'> {
  const activation = encoder.activation === 'relu' ? (x: number) => Math.max(0, x) : Math.tanh;
  const at = ({ name }: TrainableTensor) => params.get(name)!.data;
  const rows = layersOf(encoder).reduce<ArrayLike<number>>(
    (x, { weight, bias }, i) =>
      dense(i === 0 ? x : Float64Array.from(x, activation), at(weight), at(bias), encoder.count),
    params.get(EMBEDDING)!.data,
  );
  const width = encoder.widths.at(-1) as number;
  return tensor('float32', [encoder.count, width], Float32Array.from(rows));
}

/** x Wᵀ + b; x [P, D], W [E, D], b [E] → [P, E]. */
function dense(x: ArrayLike<number>, weight: Float32Array, bias: Float32Array, count: number): Float64Array {
  const [D, E] = [weight.length / bias.length, bias.length];
  const out = new Float64Array(count * E);
  for (let p = 0; p < count; p++)
    for (let e = 0; e < E; e++) {
      let sum = bias[e] as number;
      for (let d = 0; d < D; d++) sum += (x[p * D + d] as number) * (weight[e * D + d] as number);
      out[p * E + e] = sum;
    }
  return out;
}
