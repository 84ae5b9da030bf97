/** The float64 interpreter: runs a graph node by node with the ops' `reference` functions. Slow, obvious, the oracle of tests. */

import { assert } from '../base/errors.ts';
import { bfloat16ToFloat32, float16ToFloat32 } from '../base/half.ts';
import type { Tensor } from '../base/tensor.ts';
import { CONSTANT, type Graph, INPUT, type Node, type RefTensor, type Value, WEIGHT } from './ir.ts';
import { needed } from './reachable.ts';

/** Outputs of the graph for the given feeds; `weights` gives the frozen tensors by name. */
export function interpret(
  graph: Graph,
  feeds: ReadonlyMap<string, Tensor>,
  weights: ReadonlyMap<string, Tensor> = new Map(),
): Map<string, RefTensor> {
  const values = new Map<Value, RefTensor>();
  const leaf = (node: Node): Tensor | undefined => {
    if (node.op === INPUT) return feeds.get(String(node.attrs.name));
    if (node.op === WEIGHT) return weights.get(String(node.attrs.name));
    return graph.constants.get(node.outputs[0] as Value);
  };
  for (const node of needed(graph)) {
    if (node.op === INPUT || node.op === WEIGHT || node.op === CONSTANT) {
      const tensor = leaf(node);
      assert(tensor !== undefined, `nothing fed for ${node.op.id} ${String(node.attrs.name)}`);
      values.set(node.outputs[0] as Value, toRef(tensor));
      continue;
    }
    const inputs = node.inputs.map((input) => values.get(input) as RefTensor);
    const results = node.op.reference(inputs, node.attrs, node.outputs);
    for (const [i, output] of node.outputs.entries()) values.set(output, results[i] as RefTensor);
  }
  return new Map([...graph.outputs].map(([name, value]) => [name, values.get(value) as RefTensor]));
}

export function toRef(tensor: Tensor): RefTensor {
  const { data, dtype, shape } = tensor;
  if (dtype === 'bfloat16') return { shape, data: Float64Array.from(bfloat16ToFloat32(data as Uint16Array)) };
  if (dtype === 'float16') return { shape, data: Float64Array.from(float16ToFloat32(data as Uint16Array)) };
  return { shape, data: Float64Array.from(data as ArrayLike<number | bigint>, Number) };
}
