/**
 * The pieces of self-attention: heads split and joined, queries and keys rotated, the surroundings' `attend`, projections
 * by separate modules. An architecture puts them together; how scores are masked and cached is not known here.
 *
 * N = B·T rows, D hidden, H heads, K key-value heads, Dh head dim.
 */

import type { Value } from '../../graph/ir.ts';
import { reshape, transpose } from '../../graph/ops/index.ts';
import type { LinearShape, Sites } from '../../graph/sites.ts';
import type { AttendOptions, ForwardInputs, ModelShape } from '../model.ts';
import { type Rotation, rotate } from './rotary.ts';

/** q, k and v: rows [N, heads·Dh] before they are split, [B, heads, T, Dh] afterwards. */
export interface Qkv {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
}

export type HeadShape = Pick<ModelShape, 'hiddenSize' | 'numAttentionHeads' | 'numKeyValueHeads' | 'headDim'>;

/** [N, heads·Dh] → [B, heads, T, Dh]. */
export function splitHeads(x: Value, heads: number, { tokens }: Pick<ForwardInputs, 'tokens'>): Value {
  const [batch, length] = tokens.shape as [number, number];
  const headDim = (x.shape[1] as number) / heads;
  return transpose(reshape(x, [batch, length, heads, headDim]), [0, 2, 1, 3]);
}

/** [B, H, T, Dh] → [N, H·Dh]. */
export function joinHeads(x: Value): Value {
  const [batch, heads, length, headDim] = x.shape as [number, number, number, number];
  return reshape(transpose(x, [0, 2, 1, 3]), [batch * length, heads * headDim]);
}

export function splitQkv(rows: Qkv, shape: HeadShape, inputs: Pick<ForwardInputs, 'tokens'>): Qkv {
  const { numAttentionHeads, numKeyValueHeads } = shape;
  return {
    q: splitHeads(rows.q, numAttentionHeads, inputs),
    k: splitHeads(rows.k, numKeyValueHeads, inputs),
    v: splitHeads(rows.v, numKeyValueHeads, inputs),
  };
}

/** Rows of three modules: `<module>.q_proj`, `k_proj` and `v_proj`. */
export function projectQkv(sites: Sites, x: Value, module: string, shape: HeadShape, bias: boolean): Qkv {
  const project = (name: string, heads: number, role: LinearShape['role']) =>
    sites.linear(x, `${module}.${name}`, {
      inFeatures: shape.hiddenSize,
      outFeatures: heads * shape.headDim,
      bias,
      role,
    });
  return {
    q: project('q_proj', shape.numAttentionHeads, 'query'),
    k: project('k_proj', shape.numKeyValueHeads, 'key'),
    v: project('v_proj', shape.numKeyValueHeads, 'value'),
  };
}

/** Attention of split heads, rotated where positions enter that way: → [N, H·Dh]. */
export function mixHeads(
  { q, k, v }: Qkv,
  layer: number,
  { attend }: Pick<ForwardInputs, 'attend'>,
  options: AttendOptions & { readonly rotation: Rotation | undefined },
): Value {
  const { rotation, ...rest } = options;
  const turned = (x: Value) => (rotation === undefined ? x : rotate(x, rotation));
  return joinHeads(attend(layer, turned(q), turned(k), v, rest));
}

/** Back to the hidden size by `module`: [N, H·Dh] → [N, D]. */
export function projectOutput(
  sites: Sites,
  mixed: Value,
  module: string,
  shape: HeadShape,
  bias: boolean,
): Value {
  return sites.linear(mixed, module, {
    inFeatures: mixed.shape[1] as number,
    outFeatures: shape.hiddenSize,
    bias,
    role: 'attention-output',
  });
}
