import { describe, expect, it } from 'vitest';
import { buildCase, OP_CASES, relativeError, scalarOf } from '../../test/support/op-cases.ts';
import { noWeights } from '../../test/support/webgpu.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { gradients } from './autodiff.ts';
import { writeOnnx } from './onnx/writer.ts';
import { interpret } from './reference.ts';

const CASES = OP_CASES.filter(({ name }) => name.startsWith('quantizedMatmul'));

function differentiated(name: string) {
  const built = buildCase(CASES.find((c) => c.name === name)!);
  const scalar = scalarOf(built);
  built.graph.output('scalar', scalar);
  built.graph.output('gradient', gradients(scalar, built.inputs)[0]!);
  return built;
}

function operators(name: string, packed: boolean): string[] {
  const place = () => ({ location: '', offsetBytes: 0, lengthBytes: 0 });
  const { bytes } = writeOnnx(differentiated(name).graph, { kernels: 'cpu', place, packed });
  const text = Buffer.from(bytes).toString('latin1');
  return ['MatMulNBits', 'DequantizeLinear'].filter((op) => text.includes(op));
}

describe('products with repacked small integers', () => {
  it.each(CASES.map(({ name }) => [name]))('%s: values and gradients equal the reference', async (name) => {
    const { graph, feeds } = differentiated(name);
    const expected = interpret(graph, feeds);
    const executor = createNodeExecutor({ prepack: true });
    const session = await executor.load(graph, noWeights);
    const actual = await session.run(feeds);
    await executor.dispose();
    for (const [output, { data }] of expected)
      expect(relativeError(actual.get(output)!.data as Float32Array, data), output).toBeLessThan(5e-6);
  });

  it('use the quantized kernel forward where it is faster, and widen for the backward pass', () => {
    const both = ['MatMulNBits', 'DequantizeLinear'];
    expect(operators('quantizedMatmul 4 bits', true)).toEqual(both);
    expect(operators('quantizedMatmul 4 bits', false)).toEqual(['DequantizeLinear']);
    expect(operators('quantizedMatmul 8 bits', true)).toEqual(['DequantizeLinear']);
    expect(operators('quantizedMatmul 4 bits, an odd number of blocks', true)).toEqual(['DequantizeLinear']);
  });
});
