import { describe, expect, it } from 'vitest';
import { noWeights } from '../../test/support/webgpu.ts';
import { float32ToBfloat16 } from '../base/half.ts';
import { rng } from '../base/random.ts';
import { type Tensor, tensor } from '../base/tensor.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { gradients } from './autodiff.ts';
import { Graph, type KernelSet, type Value } from './ir.ts';
import * as ops from './ops/index.ts';
import { printGraph } from './print.ts';
import { needed } from './reachable.ts';
import { recomputed } from './recompute.ts';
import { interpret } from './reference.ts';

const [N, D, LAYERS] = [6, 8, 4];

type Block = (x: Value, body: (x: Value) => Value) => Value;
const plainly: Block = (x, body) => body(x);

/** Residual blocks with a norm, a gate, a dropout mask and a value that the first block makes for all. */
function network(block: Block, trained: readonly string[]) {
  const graph = new Graph();
  const input = (name: string, ...shape: number[]) => graph.input(name, 'float32', shape);
  const mask = ops.cast(graph.input('mask', 'bool', [N, D]), 'float32');
  let shared: Value | undefined;
  let x = input('x', N, D);
  for (let layer = 0; layer < LAYERS; layer++)
    x = block(x, (entering) => {
      shared ??= ops.exp(input('shift', D));
      const normed = ops.mul(ops.rmsNorm(entering, input(`norm${layer}`, D), 1e-6), mask);
      const up = ops.matmul(normed, input(`up${layer}`, D, D), { transB: true });
      const gate = ops.matmul(normed, input(`gate${layer}`, D, D), { transB: true });
      return ops.add(
        entering,
        ops.matmul(ops.swiGlu(gate, ops.add(up, shared)), input(`down${layer}`, D, D)),
      );
    });
  const loss = ops.reduceSum(ops.tanh(x), [0, 1]);
  const found = gradients(
    loss,
    trained.map((name) => graph.inputs.get(name)!),
  );
  graph.output('loss', loss);
  for (const [i, gradient] of found.entries()) graph.output(`grad:${trained[i]}`, gradient);
  return graph;
}

const ALL = ['x', 'shift', ...[0, 1, 2, 3].flatMap((l) => [`norm${l}`, `up${l}`, `gate${l}`, `down${l}`])];

function feedsOf(graph: Graph): Map<string, Tensor> {
  return new Map(
    [...graph.inputs].map(([name, { dtype, shape }]): [string, Tensor] => {
      const random = rng('recompute-test', name);
      const count = shape.reduce((a, b) => a * b, 1);
      const draw = () => (dtype === 'bool' ? Number(random.uniform() < 0.9) : random.normal());
      const values = Array.from({ length: count }, draw);
      return [
        name,
        dtype === 'bool'
          ? tensor('bool', shape, Uint8Array.from(values))
          : tensor('float32', shape, Float32Array.from(values)),
      ];
    }),
  );
}

async function run(graph: Graph, kernels: KernelSet) {
  const executor = createNodeExecutor({ kernels });
  const session = await executor.load(graph, noWeights);
  const outputs = await session.run(feedsOf(graph));
  await executor.dispose();
  return new Map([...outputs].map(([name, { data }]) => [name, Array.from(data as Float32Array)]));
}

describe('blocks that are computed again', () => {
  it.each(['cpu', 'portable'] as const)('give the same bits with %s kernels', async (kernels) => {
    const kept = await run(network(plainly, ALL), kernels);
    expect(await run(network(recomputed, ALL), kernels)).toEqual(kept);
    // The comparison can fail.
    expect(new Set(kept.get('grad:x')).size).toBeGreaterThan((N * D) / 2);
  });

  it('give the same bits in the reference interpreter', () => {
    const [kept, again] = [plainly, recomputed].map((block) => {
      const graph = network(block, ALL);
      return interpret(graph, feedsOf(graph));
    });
    expect(again).toEqual(kept);
  });

  it('leave of the forward pass only their inputs to the backward pass', () => {
    const graph = network(recomputed, ALL);
    const firstOfBackward = graph.outputs.get('loss')!.node.id + 1;
    const inputs = new Set(graph.recomputed.map(({ input }) => input));
    const crossing = needed(graph)
      .filter(({ id }) => id >= firstOfBackward)
      .flatMap(({ inputs }) => inputs.filter(({ node }) => node.id < firstOfBackward))
      .filter(({ node }) => graph.recomputed.some(({ first, end }) => first <= node.id && node.id < end))
      .filter(({ node }) => node.inputs.length > 0 && !['expand', 'cast'].includes(node.op.id));
    const others = crossing.filter((value) => !inputs.has(value));
    expect(new Set(others.map(({ node }) => node.op.id))).toEqual(new Set(['exp']));
  });

  it('widen a large 16-bit weight for each product and give the same bits', async () => {
    const size = 512;
    const stored = tensor(
      'bfloat16',
      [size, size],
      float32ToBfloat16(Float32Array.from({ length: size * size }, (_, i) => Math.sin(i) / 16)),
    );
    const graphOf = (block: Block) => {
      const graph = new Graph();
      const weight = ops.cast(graph.weight('w', 'bfloat16', [size, size]), 'float32');
      let x = graph.input('x', 'float32', [2, size]);
      for (let layer = 0; layer < 2; layer++)
        x = block(x, (entering) => ops.silu(ops.matmul(entering, weight, { transB: true })));
      const loss = ops.reduceSum(ops.tanh(x), [0, 1]);
      graph.output('gradient', gradients(loss, [graph.inputs.get('x')!])[0]!);
      return graph;
    };
    const results = await Promise.all(
      [plainly, recomputed].map(async (block) => {
        const graph = graphOf(block);
        const executor = createNodeExecutor();
        const locate = () => ({ kind: 'memory', tensor: stored }) as const;
        const session = await executor.load(graph, { locate });
        const outputs = await session.run(feedsOf(graph));
        await executor.dispose();
        return Array.from(outputs.get('gradient')!.data as Float32Array);
      }),
    );
    expect(results[1]).toEqual(results[0]);
    const casts = printGraph(graphOf(recomputed)).match(/= cast\(/g);
    // Forward, computed again and backward; the two layers share them.
    expect(casts).toHaveLength(1 + 2 + 2);
  });

  it('are built again only above the lowest trained tensor', () => {
    const count = (trained: readonly string[]) =>
      printGraph(network(recomputed, trained)).match(/= rmsNorm\(/g)?.length;
    expect(count(['down3'])).toBe(LAYERS + 1);
    expect(count(['down1'])).toBe(LAYERS + 3);
  });
});
