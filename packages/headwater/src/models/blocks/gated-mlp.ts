/** The gated feed-forward block of the llama family (SwiGLU and its relatives, Shazeer 2020, arXiv:2002.05202). */

import type { Value } from '../../graph/ir.ts';
import type { Sites } from '../../graph/sites.ts';
import { type Activation, gated } from './activation.ts';

export interface GatedMlpConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly activation: Activation;
  readonly bias: boolean;
}

/** down(f(gate(x)) · up(x)); x [N, D] → [N, D]. */
export function gatedMlp(sites: Sites, x: Value, module: string, config: GatedMlpConfig): Value {
  const { hiddenSize, intermediateSize, activation, bias } = config;
  const widen = { inFeatures: hiddenSize, outFeatures: intermediateSize, bias, role: 'mlp-input' } as const;
  const gate = sites.linear(x, `${module}.gate_proj`, widen);
  const up = sites.linear(x, `${module}.up_proj`, widen);
  return sites.linear(gated(gate, up, activation), `${module}.down_proj`, {
    inFeatures: intermediateSize,
    outFeatures: hiddenSize,
    bias,
    role: 'mlp-output',
  });
}
