import { describe, expect, it } from 'vitest';
import { testLayout } from '../../test/support/layout.ts';
import { rng } from '../base/random.ts';
import { type Tensor, tensor } from '../base/tensor.ts';
import { gradients } from '../graph/autodiff.ts';
import { Graph, type Value } from '../graph/ir.ts';
import { add, matmul, mul, reduceSum } from '../graph/ops/index.ts';
import { interpret } from '../graph/reference.ts';
import type { Sites } from '../graph/sites.ts';
import { full } from './full.ts';
import type { BoundTuning } from './kind.ts';
import { lora } from './lora.ts';

const [N, D, E, R] = [5, 4, 3, 2];
const layout = testLayout({
  linears: [{ module: 'm.q', inFeatures: D, outFeatures: E, bias: true, role: 'query' }],
  parameters: new Map([
    ['m.q.weight', [E, D]],
    ['m.q.bias', [E]],
    ['e.weight', [7, D]],
  ]),
});

function random(name: string, shape: readonly number[]): Tensor<'float32'> {
  const stream = rng('lora-test', name);
  const size = shape.reduce((a, b) => a * b, 1);
  return tensor(
    'float32',
    shape,
    Float32Array.from({ length: size }, () => stream.normal()),
  );
}

function frozenSites(graph: Graph): Sites {
  const parameter = (name: string, shape: readonly number[]) => graph.weight(name, 'float32', shape);
  return {
    parameter,
    linear: (x, module, { inFeatures, outFeatures }) =>
      add(
        matmul(x, parameter(`${module}.weight`, [outFeatures, inFeatures]), { transB: true }),
        parameter(`${module}.bias`, [outFeatures]),
      ),
    embedding: () => {
      throw new Error('not here');
    },
  };
}

const inputs = new Map([
  ['x', random('x', [N, D])],
  ['probe', random('probe', [N, E])],
]);
const weights = new Map([...layout.parameters].map(([name, shape]) => [name, random(name, shape)] as const));

/** y and the gradients of Σ probe ⊙ y, in float64. */
function run(tuning: BoundTuning, feeds: ReadonlyMap<string, Tensor>, training: boolean) {
  const graph = new Graph();
  const { sites, trainable, dropout } = tuning.wrap(graph, frozenSites(graph), { training });
  const y = sites.linear(graph.input('x', 'float32', [N, D]), 'm.q', {
    role: 'query',
    inFeatures: D,
    outFeatures: E,
    bias: true,
  });
  const loss = reduceSum(mul(y, graph.input('probe', 'float32', [N, E])), [0, 1]);
  const names = [...trainable.keys()];
  const grads = gradients(
    loss,
    names.map((name) => trainable.get(name) as Value),
  );
  graph.output('y', y);
  for (const [i, name] of names.entries()) graph.output(name, grads[i]!);
  return { outputs: interpret(graph, new Map([...inputs, ...feeds]), weights), dropout };
}

/** Rows times rows: a [n, k], b [m, k] → a bᵀ [n, m]. */
function product(a: number[][], b: number[][]): number[][] {
  return a.map((row) => b.map((other) => row.reduce((sum, value, i) => sum + value * other[i]!, 0)));
}

function rows({ shape, data }: Tensor): number[][] {
  const width = shape.at(-1)!;
  return Array.from({ length: shape[0]! }, (_, i) => [
    ...(data as Float32Array).subarray(i * width, (i + 1) * width),
  ]);
}

describe('LoRA', () => {
  const options = lora.options.parse({ rank: R, alpha: 3, dropout: 0.25, targetModules: ['q'] });
  const tuning = lora.bind(options, layout);
  const params = new Map(tuning.tensors.map(({ name, shape }) => [name, random(name, shape)]));
  const [a, b] = ['A', 'B'].map((side) => rows(params.get(`base_model.model.m.q.lora_${side}.weight`)!)) as [
    number[][],
    number[][],
  ];
  const x = rows(inputs.get('x')!);
  const frozenOutput = product(x, rows(weights.get('m.q.weight')!)).map((row) =>
    row.map((value, j) => value + weights.get('m.q.bias')!.data[j]!),
  );
  const expected = (dropped: number[][]) => {
    const update = product(product(dropped, a), b);
    return frozenOutput.flatMap((row, i) => row.map((value, j) => value + (3 / R) * update[i]![j]!));
  };
  const close = (got: ArrayLike<number>, want: number[]) => {
    expect(got.length).toBe(want.length);
    for (const [i, value] of want.entries()) expect(got[i]).toBeCloseTo(value, 5);
  };

  it('is x Wᵀ + b + α/R · x Aᵀ Bᵀ in evaluation', () => {
    const { outputs, dropout } = run(tuning, params, false);
    expect(dropout).toEqual([]);
    close(outputs.get('y')!.data, expected(x));
  });

  it('drops elements of x before A and scales the rest by 1/(1 − p) in training', () => {
    const stream = rng('mask');
    const mask = Array.from({ length: N }, () => Array.from({ length: D }, () => stream.below(2)));
    const masked = tensor('bool', [N, D], Uint8Array.from(mask.flat()));
    const { outputs, dropout } = run(
      tuning,
      new Map<string, Tensor>([...params, ['dropout:m.q', masked]]),
      true,
    );
    expect(dropout).toEqual([{ name: 'dropout:m.q', shape: [N, D], dropoutProbability: 0.25 }]);
    close(
      outputs.get('y')!.data,
      expected(x.map((row, i) => row.map((value, j) => (value * mask[i]![j]!) / 0.75))),
    );
  });

  it('has gradients dB = s·probeᵀ (x Aᵀ) and dA = s·(probe B)ᵀ x', () => {
    const { outputs } = run(tuning, params, false);
    const transposed = (m: number[][]) => m[0]!.map((_, j) => m.map((row) => row[j]!));
    const probe = rows(inputs.get('probe')!);
    const scaled = (m: number[][]) => m.flat().map((value) => (3 / R) * value);
    const dB = product(transposed(probe), transposed(product(x, a)));
    const dA = product(transposed(product(probe, transposed(b))), transposed(x));
    close(outputs.get('base_model.model.m.q.lora_B.weight')!.data, scaled(dB));
    close(outputs.get('base_model.model.m.q.lora_A.weight')!.data, scaled(dA));
  });
});

describe('full fine-tuning', () => {
  it('trains checkpoint tensors under their own names, from their own values', async () => {
    const tuning = full.bind(full.options.parse({}), layout);
    expect(tuning.tensors.map(({ name }) => name)).toEqual(['e.weight', 'm.q.bias', 'm.q.weight']);
    const params = await tuning.init(rng(0), async (name) => weights.get(name)!.data);
    expect(params).toEqual(new Map([...weights].sort(([a], [b]) => (a < b ? -1 : 1))));
    const { outputs } = run(tuning, params, true);
    const probe = rows(inputs.get('probe')!);
    const bias = probe[0]!.map((_, j) => probe.reduce((sum, row) => sum + row[j]!, 0));
    for (const [j, value] of bias.entries()) expect(outputs.get('m.q.bias')!.data[j]).toBeCloseTo(value, 5);
    // The embedding is not used by this network: its gradient is zero, not missing.
    expect(outputs.get('e.weight')!.data.every((value) => value === 0)).toBe(true);
  });
});
