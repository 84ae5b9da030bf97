/**
 * A network of two blocks for tests of tuning kinds, in the reference interpreter: every role of a linear module, one of
 * them stored transposed, biases on some, a norm, an embedding and a vocabulary matrix. No attention.
 */

import { rng } from '../../src/base/random.ts';
import { type Params, sizeOf, type Tensor, tensor } from '../../src/base/tensor.ts';
import { gradients } from '../../src/graph/autodiff.ts';
import { Graph, type Value } from '../../src/graph/ir.ts';
import { add, matmul, mul, reduceSum, tanh } from '../../src/graph/ops/index.ts';
import { interpret } from '../../src/graph/reference.ts';
import { type LinearShape, parameterSites, type Sites, storedShape } from '../../src/graph/sites.ts';
import type { BoundTuning, ModelLayout } from '../../src/tuning/kind.ts';
import { testLayout } from './layout.ts';

const [T, D, F, V] = [5, 4, 6, 7];

const LINEARS: Readonly<Record<string, LinearShape>> = {
  'attn.q_proj': { inFeatures: D, outFeatures: D, bias: true, role: 'query' },
  'attn.k_proj': { inFeatures: D, outFeatures: D, bias: false, role: 'key' },
  'attn.v_proj': { inFeatures: D, outFeatures: D, bias: true, role: 'value' },
  'attn.o_proj': { inFeatures: D, outFeatures: D, bias: true, role: 'attention-output' },
  'mlp.up_proj': { inFeatures: D, outFeatures: F, bias: true, role: 'mlp-input' },
  'mlp.down_proj': { inFeatures: F, outFeatures: D, bias: true, role: 'mlp-output', stored: 'in-out' },
};

function forward(sites: Sites, ids: Value): Value {
  let x = sites.embedding(ids, 'model.embed_tokens', V, D);
  for (const layer of [0, 1]) {
    const linear = (name: string, input: Value) =>
      sites.linear(input, `model.layers.${layer}.${name}`, LINEARS[name]!);
    const mixed = tanh(
      add(linear('attn.q_proj', x), mul(linear('attn.k_proj', x), linear('attn.v_proj', x))),
    );
    x = add(x, linear('attn.o_proj', mixed));
    x = add(x, linear('mlp.down_proj', tanh(linear('mlp.up_proj', x))));
  }
  const normed = mul(x, sites.parameter('model.norm.weight', [D]));
  return matmul(normed, sites.parameter('lm_head.weight', [V, D]), { transB: true });
}

function toyLayout(): ModelLayout {
  const blocks = [0, 1].flatMap((layer) =>
    Object.entries(LINEARS).map(([name, shape]) => ({ module: `model.layers.${layer}.${name}`, ...shape })),
  );
  const parameters: [string, readonly number[]][] = blocks.flatMap((linear) => [
    [`${linear.module}.weight`, storedShape(linear)],
    ...(linear.bias ? [[`${linear.module}.bias`, [linear.outFeatures]] as [string, number[]]] : []),
  ]);
  return testLayout({
    linears: blocks,
    parameters: new Map([
      ['model.embed_tokens.weight', [V, D]],
      ...parameters,
      ['model.norm.weight', [D]],
      ['lm_head.weight', [V, D]],
    ]),
    shape: { ...testLayout({}).shape, hiddenSize: D, vocabSize: V },
  });
}

export const toy = toyLayout();

export function randomTensor(name: string, shape: readonly number[], spread = 1): Tensor<'float32'> {
  const stream = rng('toy', name);
  const values = Float32Array.from({ length: sizeOf(shape) }, () => spread * stream.normal());
  return tensor('float32', shape, values);
}

export const toyWeights: Params = new Map(
  [...toy.parameters].map(([name, shape]) => [name, randomTensor(name, shape)]),
);

export const baseValue = async (name: string): Promise<Float32Array> => toyWeights.get(name)!.data;

/** Fresh values of a kind, with noise on every element where asked. */
export async function startingParams(tuning: BoundTuning, noise = 0): Promise<Params> {
  const fresh = await tuning.init(rng('toy', 'init'), baseValue);
  return new Map(
    [...fresh].map(([name, { shape, data }]) => {
      const shift = randomTensor(`noise ${name}`, shape, noise).data;
      return [
        name,
        tensor(
          'float32',
          shape,
          data.map((value, i) => value + shift[i]!),
        ),
      ];
    }),
  );
}

const ids = tensor('int32', [T], Int32Array.of(3, 0, 6, 3, 1));

export interface ToyResult {
  /** [T, V] in float64. */
  readonly logits: Float64Array;
  readonly loss: number;
  readonly grads: ReadonlyMap<string, Float64Array>;
}

/** Logits, a loss that weighs them at random, and its gradients. `masks` feeds dropout. */
export function runToy(
  tuning: BoundTuning,
  params: Params,
  { weights = toyWeights, training = false, masks = new Map<string, Tensor>() } = {},
): ToyResult {
  const { graph, names } = toyGraph(tuning, training);
  const results = interpret(graph, new Map<string, Tensor>([['ids', ids], ...params, ...masks]), weights);
  return {
    logits: results.get('logits')!.data,
    loss: results.get('loss')!.data[0]!,
    grads: new Map(names.map((name) => [name, results.get(`grad:${name}`)!.data])),
  };
}

/** The graph alone with the outputs `logits`, `loss` and `grad:<name>`; `numForward` nodes come before the backward pass. */
export function toyGraph(tuning: BoundTuning, training = false) {
  const graph = new Graph();
  const base = parameterSites((name, shape) => graph.weight(name, 'float32', shape));
  const wrapped = tuning.wrap(graph, base, { training });
  const logits = forward(wrapped.sites, graph.input('ids', 'int32', [T]));
  const probe = graph.constant(randomTensor('probe', [T, V]));
  const loss = reduceSum(mul(logits, probe), [0, 1]);
  graph.output('logits', logits);
  graph.output('loss', loss);
  const names = [...wrapped.trainable.keys()];
  const numForward = graph.nodes.length;
  const grads = gradients(
    loss,
    names.map((name) => wrapped.trainable.get(name)!),
  );
  for (const [i, name] of names.entries()) graph.output(`grad:${name}`, grads[i]!);
  return { graph, numForward, dropout: wrapped.dropout, names };
}

/** Largest difference of two arrays of numbers. */
export function gap(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Math.max(
    ...Array.from(a, (value, i) => Math.abs(value - b[i]!)),
    a.length === b.length ? 0 : Infinity,
  );
}
