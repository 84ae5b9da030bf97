/** Clipping by global norm, as torch.nn.utils.clip_grad_norm_. Sums run in float64 and in name order: same bits everywhere. */

import type { Params } from '../base/tensor.ts';

/** √Σg² over all tensors; NaN or infinite when a gradient is. */
export function globalNorm(gradients: Params): number {
  let sum = 0;
  for (const name of [...gradients.keys()].sort()) {
    const { data } = gradients.get(name)!;
    for (let i = 0; i < data.length; i++) sum += data[i]! * data[i]!;
  }
  return Math.sqrt(sum);
}

/** Scales all gradients in place by min(1, maxNorm / (norm + 1e-6)). */
export function clipToNorm(gradients: Params, norm: number, maxNorm: number): void {
  const factor = maxNorm / (norm + 1e-6);
  if (factor >= 1) return;
  for (const { data } of gradients.values())
    for (let i = 0; i < data.length; i++) data[i] = data[i]! * factor;
}
