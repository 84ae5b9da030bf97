/**
 * Blocks of a network whose inside the backward pass computes again from their input instead of keeping it (Chen et al.
 * 2016, arXiv:1604.06174). It knows nodes and values, no layers; `autodiff.ts` asks it what to differentiate with.
 */

import { availableAfter } from './available-after.ts';
import type { Graph, Node, RecomputedBlock, Value } from './ir.ts';
import { after, isLargeCast, recast } from './ops/index.ts';

/** `body(x)`, whose inside a backward pass computes again from x. */
export function recomputed(x: Value, body: (x: Value) => Value): Value {
  const { graph } = x;
  const first = graph.nodes.length;
  const output = body(x);
  graph.recomputed.push({ first, end: graph.nodes.length, input: x, output });
  return output;
}

/** A value of the forward pass → the one that the backward pass of a node may use: the same, or computed again. */
export type Seen = (value: Value) => Value;

const unchanged: Seen = (value) => value;

/**
 * For each node the values that its gradient is made of. The inside of a block is built again when the walk through the
 * graph enters it from above, from an input that waits for every gradient known until then: nothing of it can be computed
 * earlier, and the block above is done with, gradients of its parameters included. `known`: these gradients.
 */
export function recomputation(
  graph: Graph,
  known: (block: RecomputedBlock) => readonly Value[],
): (node: Node) => Seen {
  const again = new Map<RecomputedBlock, Seen>();
  const waited = new Set<Value>();
  const enter = (block: RecomputedBlock): Seen => {
    const signals = known(block).filter((value) => !waited.has(value));
    for (const value of signals) waited.add(value);
    return rebuilt(graph, block, availableAfter(block.input, signals));
  };
  return (node) => {
    const block = graph.recomputed.find(({ first, end }) => first <= node.id && node.id < end);
    if (block === undefined) return unchanged;
    const seen = again.get(block) ?? enter(block);
    again.set(block, seen);
    return seen;
  };
}

/**
 * The nodes of a block that depend on its input, applied again to `input`. Parameters stay the same values; large casts
 * (16-bit weights, dropout masks) are made again, so that their results do not live through both passes.
 */
function rebuilt(graph: Graph, block: RecomputedBlock, input: Value): Seen {
  const again = new Map([[block.input, input]]);
  const casts = new Map<Value, Value>();
  const seen: Seen = (value) => again.get(value) ?? casts.get(value) ?? value;
  for (const node of graph.nodes.slice(block.first, block.end)) {
    if (!node.inputs.some((value) => again.has(value))) continue;
    const large = node.inputs.filter((value) => !again.has(value) && isLargeCast(value));
    for (const value of large) casts.set(value, casts.get(value) ?? recast(value));
    // Late: what a cast waits for has to be the younger input.
    const inputs = node.inputs.map((v) => (large.length > 0 && again.has(v) ? after(seen(v)) : seen(v)));
    const outputs = graph.apply(node.op, inputs, node.attrs);
    for (const [i, output] of node.outputs.entries()) again.set(output, outputs[i] as Value);
  }
  return seen;
}
