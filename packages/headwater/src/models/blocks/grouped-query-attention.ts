/**
 * Self-attention with fewer key-value heads than query heads (Ainslie et al. 2023, arXiv:2305.13245): projections,
 * optional per-head query/key norm, rotary, output projection. How scores are masked and cached is the caller's `attend`.
 */

import type { Value } from '../../graph/ir.ts';
import { reshape, rotaryEmbedding, transpose } from '../../graph/ops/index.ts';
import type { Sites } from '../../graph/sites.ts';
import type { Attend } from '../model.ts';
import { rmsNorm } from './rms-norm.ts';
import type { Rotation } from './rotary.ts';

export interface AttentionConfig {
  readonly hiddenSize: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  /** Bias of the query, key and value projections. */
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  /** RMS norm over Dh of every query and key head before rotary (qwen3). */
  readonly qkNormEpsilon?: number;
  /** Sliding window in tokens. */
  readonly window?: number;
}

export interface AttentionInputs {
  readonly sites: Sites;
  readonly layer: number;
  readonly module: string;
  readonly batch: number;
  readonly length: number;
  readonly rotation: Rotation;
  readonly attend: Attend;
}

/** x [N, D] → [N, D]; scores are scaled by 1/√Dh. */
export function groupedQueryAttention(x: Value, config: AttentionConfig, inputs: AttentionInputs): Value {
  const { sites, module, layer, attend, rotation } = inputs;
  const { numAttentionHeads, numKeyValueHeads, headDim, hiddenSize } = config;
  const q = heads(x, 'q', numAttentionHeads, config, inputs);
  const k = heads(x, 'k', numKeyValueHeads, config, inputs);
  const v = heads(x, 'v', numKeyValueHeads, config, inputs);
  const mixed = attend(
    layer,
    rotaryEmbedding(q, rotation.cos, rotation.sin),
    rotaryEmbedding(k, rotation.cos, rotation.sin),
    v,
    { scale: 1 / Math.sqrt(headDim), ...(config.window === undefined ? {} : { window: config.window }) },
  );
  const width = numAttentionHeads * headDim;
  const rows = reshape(transpose(mixed, [0, 2, 1, 3]), [inputs.batch * inputs.length, width]);
  return sites.linear(rows, `${module}.o_proj`, {
    inFeatures: width,
    outFeatures: hiddenSize,
    bias: config.outputBias,
    role: 'attention-output',
  });
}

const ROLES = { q: 'query', k: 'key', v: 'value' } as const;

/** One projection split into heads: [N, D] → [B, heads, T, Dh]. */
function heads(
  x: Value,
  which: 'q' | 'k' | 'v',
  count: number,
  config: AttentionConfig,
  inputs: AttentionInputs,
): Value {
  const { sites, module, batch, length } = inputs;
  const projected = sites.linear(x, `${module}.${which}_proj`, {
    inFeatures: config.hiddenSize,
    outFeatures: count * config.headDim,
    bias: config.qkvBias,
    role: ROLES[which],
  });
  const split = reshape(projected, [batch, length, count, config.headDim]);
  const normed =
    config.qkNormEpsilon === undefined || which === 'v'
      ? split
      : rmsNorm(sites, split, `${module}.${which}_norm`, config.qkNormEpsilon);
  return transpose(normed, [0, 2, 1, 3]);
}
