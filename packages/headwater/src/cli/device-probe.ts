/** What `probeDevice` starts in a process of its own: one small graph on one device, the answer as a line of JSON. */

import { tensor } from '../base/tensor.ts';
import { Graph } from '../graph/ir.ts';
import { matmul } from '../graph/ops/index.ts';
import type { Device } from '../runtime/executor.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';

async function multiply(device: Device): Promise<number[]> {
  const graph = new Graph();
  const a = graph.input('a', 'float32', [2, 3]);
  const b = graph.input('b', 'float32', [3, 2]);
  graph.output('c', matmul(a, b));
  const executor = createNodeExecutor({ device });
  const session = await executor.load(graph, { locate: (name) => assertNever(name) });
  const outputs = await session.run(
    new Map([
      ['a', tensor('float32', [2, 3], Float32Array.of(1, 2, 3, 4, 5, 6))],
      ['b', tensor('float32', [3, 2], Float32Array.of(1, 0, 0, 1, 1, 1))],
    ]),
  );
  await executor.dispose();
  return [...(outputs.get('c')?.data ?? [])].map(Number);
}

function assertNever(name: string): never {
  throw new Error(`the probe has no weight ${name}`);
}

try {
  console.log(JSON.stringify({ result: await multiply(process.argv[2] as Device) }));
} catch (error) {
  console.log(JSON.stringify({ reason: (error as Error).message }));
}
