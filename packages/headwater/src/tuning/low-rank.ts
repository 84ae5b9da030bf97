/** Low-rank products as dense weights: W + s · B A in the layout of the checkpoint. Knows no kind and no format. */

import type { Tensor } from '../base/tensor.ts';
import type { LowRankUpdate, MergeWeight, ModelLayout } from './kind.ts';

/** For every updated module, its weight by checkpoint name. */
export function mergedLowRank(
  updates: readonly LowRankUpdate[],
  layout: Pick<ModelLayout, 'linears'>,
): Map<string, MergeWeight> {
  const stored = new Map(layout.linears.map((linear) => [linear.module, linear.stored ?? 'out-in']));
  return new Map(
    updates.map(({ module, a, b, scale }): [string, MergeWeight] => [
      `${module}.weight`,
      (base) => {
        const result = base.slice();
        addProduct(result, a, b, scale, stored.get(module)!);
        return result;
      },
    ]),
  );
}

/** target += s · B A; A [R, D], B [E, R]; target [E, D], or [D, E] where the checkpoint stores it so. Sums in float64. */
export function addProduct(
  target: Float32Array,
  a: Tensor<'float32'>,
  b: Tensor<'float32'>,
  scale: number,
  stored: 'out-in' | 'in-out' = 'out-in',
): void {
  const [rank, inFeatures] = a.shape as [number, number];
  const [outFeatures] = b.shape as [number, number];
  const row = new Float64Array(inFeatures);
  for (let out = 0; out < outFeatures; out++) {
    row.fill(0);
    for (let r = 0; r < rank; r++) {
      const factor = scale * (b.data[out * rank + r] as number);
      const from = r * inFeatures;
      for (let i = 0; i < inFeatures; i++)
        row[i] = (row[i] as number) + factor * (a.data[from + i] as number);
    }
    const [start, step] = stored === 'in-out' ? [out, outFeatures] : [out * inFeatures, 1];
    for (let i = 0; i < inFeatures; i++) {
      const at = start + i * step;
      target[at] = (target[at] as number) + (row[i] as number);
    }
  }
}

/** target += s · R; R [E, D], target [E, D], or [D, E] where the checkpoint stores it so. */
export function addDense(
  target: Float32Array,
  { shape, data }: Tensor<'float32'>,
  scale: number,
  stored: 'out-in' | 'in-out' = 'out-in',
): void {
  const [outFeatures, inFeatures] = shape as [number, number];
  for (let out = 0; out < outFeatures; out++)
    for (let i = 0; i < inFeatures; i++) {
      const at = stored === 'in-out' ? i * outFeatures + out : out * inFeatures + i;
      target[at] = (target[at] as number) + scale * (data[out * inFeatures + i] as number);
    }
}
