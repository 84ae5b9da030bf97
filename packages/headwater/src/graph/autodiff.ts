/** Reverse-mode differentiation of a graph: walks it backwards and lets each op add its vector–Jacobian product. */

import { assert } from '../base/errors.ts';
import type { Graph, Node, Value } from './ir.ts';
import { add } from './ops/arithmetic.ts';
import { expand } from './ops/shape.ts';
import { recomputation, type Seen } from './recompute.ts';

/**
 * d(loss)/d(x) for each x of `wrt`, appended to the graph as ordinary nodes. Only nodes between `wrt` and `loss` are
 * visited, so the backward pass stops at the lowest trained tensor. An x that the loss does not depend on gets zeros.
 * Blocks marked by `recomputed` are computed again: the same numbers from less memory.
 */
export function gradients(loss: Value, wrt: readonly Value[]): Value[] {
  assert(loss.shape.length === 0, `the loss must be a scalar, got [${loss.shape}]`);
  const { graph } = loss;
  const active = dependents(graph, wrt);
  const grads = new Map<Value, Value>([[loss, graph.scalar(1)]]);
  const known = (values: readonly Value[]) => values.flatMap((value) => grads.get(value) ?? []);
  const seenBy = recomputation(graph, ({ output }) => known([output, ...wrt]));
  for (const node of graph.nodes.slice(0, loss.node.id + 1).reverse())
    if (node.outputs.some((output) => active.has(output) && grads.has(output)))
      accumulate(node, active, grads, seenBy(node));
  return wrt.map((x) => grads.get(x) ?? expand(graph.scalar(0), x.shape));
}

/** Values that depend on any of `wrt`. */
function dependents(graph: Graph, wrt: readonly Value[]): Set<Value> {
  const active = new Set(wrt);
  for (const node of graph.nodes)
    if (node.inputs.some((input) => active.has(input))) for (const output of node.outputs) active.add(output);
  return active;
}

function accumulate(node: Node, active: ReadonlySet<Value>, grads: Map<Value, Value>, seen: Seen): void {
  if (node.inputs.length === 0) return;
  const { vjp } = node.op;
  if (typeof vjp !== 'function') return;
  const parts = vjp({
    inputs: node.inputs.map(seen),
    outputs: node.outputs.map(seen),
    attrs: node.attrs,
    grads: node.outputs.map((output) => grads.get(output)),
    needs: node.inputs.map((input) => active.has(input)),
  });
  for (const [i, input] of node.inputs.entries()) {
    const part = parts[i];
    if (part === undefined || !active.has(input)) continue;
    const known = grads.get(input);
    grads.set(input, known === undefined ? part : add(known, part));
  }
}
