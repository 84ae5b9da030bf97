/** The feed-forward block of the first transformers: widen, activate, narrow (Vaswani et al. 2017, section 3.3). */

import type { Value } from '../../graph/ir.ts';
import type { Sites } from '../../graph/sites.ts';
import { type Activation, activate } from './activation.ts';

export interface PlainMlpConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly activation: Activation;
  /** How the checkpoint stores both weights. */
  readonly stored?: 'in-out';
}

/** narrow(f(widen(x))), both with bias; x [N, D] → [N, D]. `modules` are whole names. */
export function plainMlp(
  sites: Sites,
  x: Value,
  modules: { readonly widen: string; readonly narrow: string },
  { hiddenSize, intermediateSize, activation, stored = undefined }: PlainMlpConfig,
): Value {
  const common = { bias: true, ...(stored === undefined ? {} : { stored }) };
  const wide = sites.linear(x, modules.widen, {
    ...common,
    inFeatures: hiddenSize,
    outFeatures: intermediateSize,
    role: 'mlp-input',
  });
  return sites.linear(activate(wide, activation), modules.narrow, {
    ...common,
    inFeatures: intermediateSize,
    outFeatures: hiddenSize,
    role: 'mlp-output',
  });
}
