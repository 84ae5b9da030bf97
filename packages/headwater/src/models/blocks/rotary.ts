/**
 * Rotary position embeddings (Su et al. 2021, arXiv:2104.09864) as Hugging Face computes them: the tables of a graph and
 * their rows at given positions. Frequencies are in `rope-scaling.ts`; the rotation itself is an op of the graph.
 */

import { type Tensor, tensor } from '../../base/tensor.ts';
import type { Value } from '../../graph/ir.ts';
import {
  cast,
  concat,
  expand,
  gather,
  greater,
  reduceSum,
  reshape,
  rotaryEmbedding,
  slice,
  where,
} from '../../graph/ops/index.ts';
import { dim } from '../../graph/shapes.ts';
import type { ForwardInputs } from '../model.ts';
import { attentionFactorOf, inverseFrequencies, type Reach, type RotaryConfig } from './rope-scaling.ts';

interface Tables {
  readonly cos: Tensor<'float32'>;
  readonly sin: Tensor<'float32'>;
}

/** cos and sin of position · frequency for positions 0 … rows − 1, each [rows, d/2], times the attention factor. */
export function rotaryTables(config: RotaryConfig, rows: number, reach: Reach = 'short'): Tables {
  const frequencies = inverseFrequencies(config, reach);
  const factor = attentionFactorOf(config);
  const half = frequencies.length;
  const cos = new Float32Array(rows * half);
  const sin = new Float32Array(rows * half);
  for (let position = 0; position < rows; position++)
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * (frequencies[i] as number));
      cos[position * half + i] = factor * Math.cos(angle);
      sin[position * half + i] = factor * Math.sin(angle);
    }
  return { cos: tensor('float32', [rows, half], cos), sin: tensor('float32', [rows, half], sin) };
}

/** cos and sin of every row, [N, d/2]; made once per graph and shared by its layers. */
export interface Rotation {
  readonly cos: Value;
  readonly sin: Value;
}

/** Rows of the tables at the positions of a graph. `limit`: the model's max_position_embeddings. */
export function rotationAt(
  inputs: Pick<ForwardInputs, 'positions' | 'maxPositions' | 'reach'>,
  config: RotaryConfig,
  limit: number,
): Rotation {
  const { positions, maxPositions = Number.POSITIVE_INFINITY } = inputs;
  const numRows = Math.min(maxPositions, limit);
  const { scaling } = config;
  const short = rowsAt(positions, rotaryTables(config, numRows));
  if (scaling?.kind !== 'longrope' || numRows <= scaling.originalMaxPositionEmbeddings) return short;
  const long = rowsAt(positions, rotaryTables(config, numRows, 'long'));
  const isLong = reachesBeyond(inputs, scaling.originalMaxPositionEmbeddings);
  return { cos: where(isLong, long.cos, short.cos), sin: where(isLong, long.sin, short.sin) };
}

function rowsAt(positions: Value, { cos, sin }: Tables): Rotation {
  const [batch, length] = positions.shape as [number, number];
  const rows = reshape(positions, [batch * length]);
  const { graph } = positions;
  return { cos: gather(graph.constant(cos), rows, 0), sin: gather(graph.constant(sin), rows, 0) };
}

/**
 * [N, 1]: whether the sequence of a row is longer than the context. transformers asks the whole batch, which is the same
 * when its rows are padded to one length; a row's result must not depend on its neighbours.
 */
function reachesBeyond(
  { positions, reach }: Pick<ForwardInputs, 'positions' | 'reach'>,
  context: number,
): Value {
  const [batch, length] = positions.shape as [number, number];
  const { graph } = positions;
  const above = (x: Value, bound: number) =>
    cast(greater(x, graph.constant(tensor('int32', [], Int32Array.of(bound)))), 'float32');
  const count =
    reach === undefined
      ? reduceSum(above(positions, context - 1), [1], true)
      : reshape(above(reach, context), [batch, 1]);
  return greater(reshape(expand(count, [batch, length]), [batch * length, 1]), graph.scalar(0));
}

/** Rotates the leading d dimensions of every head; x [B, H, T, Dh], d ≤ Dh. */
export function rotate(x: Value, { cos, sin }: Rotation): Value {
  const headDim = dim(x.shape, 3);
  const rotaryDim = 2 * dim(cos.shape, 1);
  if (rotaryDim === headDim) return rotaryEmbedding(x, cos, sin);
  const turned = rotaryEmbedding(slice(x, { axis: 3, start: 0, end: rotaryDim }), cos, sin);
  return concat([turned, slice(x, { axis: 3, start: rotaryDim, end: headDim })], 3);
}
