import { expect, it } from 'vitest';
import { relativeError } from '../../test/support/op-cases.ts';
import { float32ToBfloat16 } from '../base/half.ts';
import { rng } from '../base/random.ts';
import { tensor } from '../base/tensor.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { Graph } from './ir.ts';
import { cast } from './ops/index.ts';
import { vocabularyLogits, vocabularyMix } from './vocabulary-product.ts';

const [M, D, V] = [3, 512, 520];

function normals(label: string, count: number): Float32Array {
  const random = rng('vocabulary-test', label);
  return Float32Array.from({ length: count }, () => random.normal());
}

it('a 16-bit vocabulary matrix gives the same products in pieces as whole', async () => {
  const stored = tensor('bfloat16', [V, D], float32ToBfloat16(normals('w', V * D)));
  const bias = tensor('float32', [V], normals('b', V));
  const feeds = new Map([
    ['rows', tensor('float32', [M, D], normals('rows', M * D))],
    ['spread', tensor('float32', [M, V], normals('spread', M * V))],
  ]);
  const run = async (pieceBytes: number) => {
    const graph = new Graph();
    const weight = cast(graph.weight('w', 'bfloat16', [V, D]), 'float32');
    const rows = graph.input('rows', 'float32', [M, D]);
    const projection = { rows, weight, bias: graph.constant(bias), softCap: 30 };
    graph.output('logits', vocabularyLogits(projection, pieceBytes));
    graph.output('mix', vocabularyMix(graph.input('spread', 'float32', [M, V]), weight, pieceBytes));
    const executor = createNodeExecutor();
    const session = await executor.load(graph, { locate: () => ({ kind: 'memory', tensor: stored }) });
    const outputs = await session.run(feeds);
    await executor.dispose();
    const widened = graph.nodes
      .filter(({ op }) => op.id === 'cast')
      .map(({ outputs }) => outputs[0]!.shape[0]);
    return { logits: outputs.get('logits')!.data, mix: outputs.get('mix')!.data, widened };
  };
  const whole = await run(2 ** 30);
  const pieces = await run(4 * D * 100);
  // Whole, it is widened once for both; in pieces, each product widens its own.
  expect(whole.widened).toEqual([V]);
  expect(pieces.widened.slice(1)).toEqual([87, 87, 87, 87, 87, 85, 87, 87, 87, 87, 87, 85]);
  for (const name of ['logits', 'mix'] as const)
    expect(relativeError(pieces[name] as Float32Array, whole[name] as Float32Array)).toBeLessThan(1e-6);
});
