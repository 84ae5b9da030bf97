import { describe, expect, test } from 'vitest';
import { buildCase, OP_CASES, relativeError, scalarOf } from '../../test/support/op-cases.ts';
import { useSoftwareVulkan } from '../../test/support/vulkan.ts';
import type { Tensor } from '../base/tensor.ts';
import { gradients } from '../graph/autodiff.ts';
import { Graph } from '../graph/ir.ts';
import { scale } from '../graph/ops/index.ts';
import { interpret } from '../graph/reference.ts';
import { createNodeExecutor } from './onnx-node.ts';

const noWeights = {
  locate: () => {
    throw new Error('this graph has no weights');
  },
};

/** Why WebGPU cannot be tested here, or undefined when it can. */
async function whyNot(): Promise<string | undefined> {
  useSoftwareVulkan();
  const graph = new Graph();
  graph.output('y', scale(graph.input('x', 'float32', [1]), 2));
  const executor = createNodeExecutor({ device: 'webgpu' });
  try {
    await executor.load(graph, noWeights);
    await executor.dispose();
    return undefined;
  } catch (error) {
    return String(error).split('\n')[0];
  }
}

const reason = await whyNot();
if (reason !== undefined)
  console.warn(`SKIPPED: the WebGPU provider does not start on this machine. ${reason}`);

describe.skipIf(reason !== undefined)('the WebGPU provider', () => {
  test.each(OP_CASES.map((c) => [c.name, c] as const))(
    '%s: values and gradients equal the reference',
    async (_, opCase) => {
      const built = buildCase(opCase);
      const scalar = scalarOf(built);
      const wrt = built.inputs.filter((x) => x.dtype === 'float32');
      built.graph.output('scalar', scalar);
      for (const [i, gradient] of gradients(scalar, wrt).entries())
        built.graph.output(`gradient${i}`, gradient);
      const expected = interpret(built.graph, built.feeds);
      const executor = createNodeExecutor({ device: 'webgpu' });
      const session = await executor.load(built.graph, noWeights);
      const actual = await session.run(built.feeds);
      for (const [name, result] of expected)
        expect(
          relativeError((actual.get(name) as Tensor).data as Float32Array, result.data),
          name,
        ).toBeLessThan(1e-4);
      await executor.dispose();
    },
  );
});
