/**
 * What enters the linear modules of a network's first block, token by token: all that a span attack needs of a model. It knows no
 * gradients and no attack.
 */

import { type Tensor, tensor } from '../base/tensor.ts';
import { Graph, type Value } from '../graph/ir.ts';
import { baseSites } from '../models/base-sites.ts';
import type { Model } from '../models/model.ts';
import type { Executor } from '../runtime/executor.ts';

export interface FirstBlock {
  /** Modules that read the same rows: query, key and value, as a rule. */
  readonly modules: readonly string[];
  /** D. */
  readonly width: number;
  /** Rows [count, D] of these tokens at one position, one after the other. */
  inputs(tokens: Int32Array, position: number): Promise<Float32Array>;
}

export type FirstBlockModel = Pick<Model, 'definition' | 'storedTypes' | 'weights' | 'quantized'>;

/** Tokens in one run. */
const ROWS = 256;

export async function openFirstBlock(model: FirstBlockModel, executor: Executor): Promise<FirstBlock> {
  const { graph, modules, width } = firstBlockProgram(model);
  const session = await executor.load(graph, model.weights, {
    label: 'inputs of the first block',
    sequential: true,
  });
  async function rows(tokens: Int32Array, position: number): Promise<Float32Array> {
    const padded = new Int32Array(ROWS);
    padded.set(tokens);
    const feed = (values: Int32Array): Tensor => tensor('int32', [ROWS, 1], values);
    const feeds = new Map([
      ['tokens', feed(padded)],
      ['positions', feed(new Int32Array(ROWS).fill(position))],
    ]);
    const output = (await session.run(feeds)).get('rows')!.data as Float32Array;
    return output.subarray(0, tokens.length * width);
  }
  return {
    modules,
    width,
    async inputs(tokens, position) {
      const all = new Float32Array(tokens.length * width);
      for (let at = 0; at < tokens.length; at += ROWS)
        all.set(await rows(tokens.subarray(at, at + ROWS), position), at * width);
      return all;
    },
  };
}

/** The whole network is described, and nothing of it but its beginning is an output. */
function firstBlockProgram(model: FirstBlockModel) {
  const graph = new Graph();
  const tokens = graph.input('tokens', 'int32', [ROWS, 1]);
  const positions = graph.input('positions', 'int32', [ROWS, 1]);
  const base = baseSites(graph, model);
  const modules: string[] = [];
  let first: Value | undefined;
  model.definition.forward({
    tokens,
    positions,
    sites: {
      ...base,
      linear(x, module, shape) {
        first ??= x;
        if (x === first) modules.push(module);
        return base.linear(x, module, shape);
      },
    },
    attend: (_layer, q) => q,
    block: (_layer, x, body) => body(x),
  });
  graph.output('rows', first!);
  return { graph, modules, width: first!.shape[1] as number };
}
