/** Pretty-printer: one line a node, for error messages, tests and curious readers. */

import type { Graph, Value } from './ir.ts';
import { needed } from './reachable.ts';

function nameOf(value: Value): string {
  const { node } = value;
  if (node.inputs.length === 0 && node.attrs.name) return `${node.op.id}(${String(node.attrs.name)})`;
  return `%${value.id}`;
}

function typeOf(value: Value): string {
  return `${value.dtype}[${value.shape.join(', ')}]`;
}

function attributes(attrs: Readonly<Record<string, unknown>>): string {
  const shown = Object.entries(attrs).filter(([, v]) => typeof v !== 'function');
  return shown.length === 0 ? '' : ` {${shown.map(([k, v]) => `${k}: ${JSON.stringify(v)}`).join(', ')}}`;
}

/** `%7: float32[4, 8] = matmul(input(x), weight(w)) {transB: true, …}` for every node that an output needs. */
export function printGraph(graph: Graph): string {
  const lines = needed(graph).flatMap((node) => {
    if (node.inputs.length === 0) return [];
    const left = node.outputs.map((value) => `${nameOf(value)}: ${typeOf(value)}`).join(', ');
    return [`${left} = ${node.op.id}(${node.inputs.map(nameOf).join(', ')})${attributes(node.attrs)}`];
  });
  const outputs = [...graph.outputs].map(
    ([name, value]) => `return ${name} = ${nameOf(value)}: ${typeOf(value)}`,
  );
  return [...lines, ...outputs].join('\n');
}
