/** WebGPU in tests: with a GPU's driver or with SwiftShader; where neither is present the tests are skipped and say why. */

import { Graph } from '../../src/graph/ir.ts';
import { scale } from '../../src/graph/ops/index.ts';
import { createNodeExecutor } from '../../src/runtime/onnx-node.ts';
import { useSoftwareVulkan } from './vulkan.ts';

export const noWeights = {
  locate: () => {
    throw new Error('this graph has no weights');
  },
};

/** True when a session starts on WebGPU; otherwise prints the reason and returns false. */
export async function webgpuWorks(): Promise<boolean> {
  useSoftwareVulkan();
  const graph = new Graph();
  graph.output('y', scale(graph.input('x', 'float32', [1]), 2));
  const executor = createNodeExecutor({ device: 'webgpu' });
  try {
    await executor.load(graph, noWeights);
    await executor.dispose();
    return true;
  } catch (error) {
    console.warn(
      `SKIPPED: the WebGPU provider does not start on this machine. ${String(error).split('\n')[0]}`,
    );
    return false;
  }
}
