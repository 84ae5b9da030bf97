import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { buildCase, OP_CASES, type OpCase, relativeError, scalarOf } from '../../test/support/op-cases.ts';
import { noWeights } from '../../test/support/webgpu.ts';
import { float32ToBfloat16 } from '../base/half.ts';
import { rng } from '../base/random.ts';
import { type Tensor, tensor } from '../base/tensor.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { gradients } from './autodiff.ts';
import { CONSTANT, Graph, INPUT, type KernelSet, type Value, WEIGHT } from './ir.ts';
import { writeOnnx } from './onnx/writer.ts';
import * as ops from './ops/index.ts';
import { printGraph } from './print.ts';
import { interpret } from './reference.ts';

const STEP = 1e-5;

function randomValues(label: string, count: number): Float32Array {
  const random = rng('graph-test', label);
  return Float32Array.from({ length: count }, () => random.normal());
}

/** The case with its scalar and the gradients of its float inputs as outputs. */
function differentiated(test: OpCase) {
  const built = buildCase(test);
  const scalar = scalarOf(built);
  const wrt = built.inputs.filter((x) => x.dtype === 'float32');
  built.graph.output('scalar', scalar);
  for (const [i, gradient] of gradients(scalar, wrt).entries())
    built.graph.output(`gradient:${String(wrt[i]?.node.attrs.name)}`, gradient);
  return built;
}

function centralDifferences(graph: Graph, feeds: Map<string, Tensor>, name: string): Float64Array {
  const base = feeds.get(name) as Tensor;
  const at = (i: number, delta: number) => {
    const data = Float64Array.from(base.data as Float32Array);
    data[i] = (data[i] as number) + delta;
    const moved = new Map(feeds).set(name, { ...base, data: data as unknown as Float32Array });
    return interpret(graph, moved).get('scalar')?.data[0] as number;
  };
  return Float64Array.from(base.data as Float32Array, (_, i) => (at(i, STEP) - at(i, -STEP)) / (2 * STEP));
}

describe('the reference interpreter', () => {
  test.each(OP_CASES.map((c) => [c.name, c] as const))(
    '%s: gradient equals central differences',
    (_, opCase) => {
      const { graph, feeds } = differentiated(opCase);
      const results = interpret(graph, feeds);
      for (const [name, result] of results) {
        if (!name.startsWith('gradient:')) continue;
        const expected = centralDifferences(graph, feeds, name.slice('gradient:'.length));
        const difference = Math.max(...result.data.map((v, i) => Math.abs(v - (expected[i] as number))));
        expect(difference, name).toBeLessThan(1e-6 * Math.max(1, ...expected.map(Math.abs)));
      }
    },
  );

  test('every op of the dialect has a case', () => {
    const covered = new Set(OP_CASES.flatMap((c) => differentiated(c).graph.nodes.map((node) => node.op.id)));
    const folder = new URL('./ops/', import.meta.url);
    const sources = readdirSync(folder).map((file) => readFileSync(new URL(file, folder), 'utf8'));
    const defined = sources
      .flatMap((text) => [...text.matchAll(/^ {2}id: '(\w+)'|\bid: '(\w+)', onnx/gm)])
      .map((m) => m[1] ?? m[2]);
    const inline = sources
      .flatMap((text) => [...text.matchAll(/= (?:binary|unary|comparison)\(\{\s*id: '(\w+)'/g)])
      .map((m) => m[1]);
    const expected = [...new Set([...defined, ...inline])].sort();
    expect(expected.length).toBeGreaterThan(25);
    const leaves = [INPUT.id, CONSTANT.id, WEIGHT.id];
    expect([...covered].filter((id) => !leaves.includes(id)).sort()).toEqual(expected);
  });
});

const KERNELS: readonly KernelSet[] = ['cpu', 'portable'];

describe.each(KERNELS)('ONNX Runtime on CPU with %s kernels', (kernels) => {
  test.each(OP_CASES.map((c) => [c.name, c] as const))(
    '%s: values and gradients equal the reference',
    async (_, opCase) => {
      const { graph, feeds } = differentiated(opCase);
      const expected = interpret(graph, feeds);
      const executor = createNodeExecutor({ kernels });
      const session = await executor.load(graph, noWeights);
      const actual = await session.run(feeds);
      for (const [name, result] of expected) {
        const value = actual.get(name) as Tensor;
        expect(value.shape).toEqual(result.shape);
        expect(relativeError(value.data as Float32Array, result.data), name).toBeLessThan(5e-6);
      }
      await executor.dispose();
    },
  );
});

describe('a graph', () => {
  test('prints one line a node and leaves out what no output needs', () => {
    const graph = new Graph();
    const x = graph.input('x', 'float32', [2, 3]);
    ops.exp(x);
    graph.output('y', ops.scale(x, 2));
    expect(printGraph(graph)).toBe('%3: float32[2, 3] = mul(input(x), %2)\nreturn y = %3: float32[2, 3]');
  });

  test('refuses shapes that do not fit, naming them', () => {
    const graph = new Graph();
    const [a, b] = [graph.input('a', 'float32', [2, 3]), graph.input('b', 'float32', [4, 5])];
    expect(() => ops.matmul(a, b)).toThrow('matmul [2,3] · [4,5]');
    expect(() => ops.add(a, b)).toThrow('[2,3] and [4,5] do not broadcast');
  });

  test('writes the same bytes twice and asks only for inputs that are used', () => {
    const write = () => {
      const graph = new Graph();
      const x = graph.input('x', 'float32', [2, 3]);
      graph.input('unused', 'float32', [1]);
      graph.output('y', ops.softmax(ops.scale(x, 3)));
      return writeOnnx(graph, {
        kernels: 'portable',
        place: () => ({ location: '', offsetBytes: 0, lengthBytes: 0 }),
      });
    };
    expect(Buffer.compare(write().bytes, write().bytes)).toBe(0);
    expect([...write().inputs.keys()]).toEqual(['x']);
  });

  test('widens a large 16-bit weight once for each pass and keeps no float32 copy between them', async () => {
    const graph = new Graph();
    const size = 512;
    const stored = tensor('bfloat16', [size, size], float32ToBfloat16(randomValues('w', size * size)));
    const weight = ops.cast(graph.weight('w', 'bfloat16', [size, size]), 'float32');
    const x = graph.input('x', 'float32', [2, size]);
    const loss = ops.reduceSum(ops.exp(ops.scale(ops.matmul(x, weight, { transB: true }), 0.02)), [0, 1]);
    const [gradient] = gradients(loss, [x]);
    graph.output('gradient', gradient as Value);
    const feeds = new Map([['x', tensor('float32', [2, size], randomValues('x', 2 * size))]]);
    const expected = interpret(graph, feeds, new Map([['w', stored]])).get('gradient');
    const executor = createNodeExecutor();
    const session = await executor.load(graph, { locate: () => ({ kind: 'memory', tensor: stored }) });
    const actual = (await session.run(feeds)).get('gradient') as Tensor;
    expect(relativeError(actual.data as Float32Array, expected?.data as Float64Array)).toBeLessThan(1e-5);
    expect(printGraph(graph).match(/= cast\(/g)).toHaveLength(2);
    await executor.dispose();
  });

  test('differentiates only between the trained tensors and the loss', () => {
    const graph = new Graph();
    const [x, w1, w2] = ['x', 'w1', 'w2'].map((name) => graph.input(name, 'float32', [3, 3])) as [
      Value,
      Value,
      Value,
    ];
    const hidden = ops.matmul(x, w1);
    const loss = ops.reduceSum(ops.matmul(hidden, w2), [0, 1]);
    const before = graph.nodes.length;
    gradients(loss, [w2]);
    const added = graph.nodes.slice(before).map((node) => node.op.id);
    expect(added.filter((id) => id === 'matmul')).toHaveLength(1);
  });
});
