/** Which nodes the declared outputs need, in graph order. */

import type { Graph, Node } from './ir.ts';

export function needed(graph: Graph): Node[] {
  const keep = new Set<Node>();
  const stack = [...graph.outputs.values()].map((value) => value.node);
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (keep.has(node)) continue;
    keep.add(node);
    for (const input of node.inputs) stack.push(input.node);
  }
  return graph.nodes.filter((node) => keep.has(node));
}
