import { describe, expect, test } from 'vitest';
import { buildCase, OP_CASES, relativeError, scalarOf } from '../../test/support/op-cases.ts';
import { noWeights, webgpuWorks } from '../../test/support/webgpu.ts';
import type { Tensor } from '../base/tensor.ts';
import { gradients } from '../graph/autodiff.ts';
import { interpret } from '../graph/reference.ts';
import { createNodeExecutor } from './onnx-node.ts';

const works = await webgpuWorks();

describe.skipIf(!works)('the WebGPU provider', () => {
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
