/** Mean and 95 % confidence interval of a few independent values by Student's t. It knows no experiments. */

/** 97.5 % quantiles of the t distribution with 1 … 30 degrees of freedom (any statistics table). */
const QUANTILES = [
  12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.306, 2.2622, 2.2281, 2.201, 2.1788, 2.1604,
  2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.093, 2.086, 2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555,
  2.0518, 2.0484, 2.0452, 2.0423,
];

export interface MeanInterval {
  readonly mean: number;
  /** Half the width of the 95 % interval: t₀.₉₇₅,ₙ₋₁ · s / √n; null for a single value. */
  readonly halfWidth: number | null;
  readonly count: number;
}

/** 97.5 % quantile; above 30 degrees z + (z³ + z) / 4ν, right to three digits. */
export function tQuantile(degrees: number): number {
  const z = 1.959964;
  return QUANTILES[degrees - 1] ?? z + (z ** 3 + z) / (4 * degrees);
}

/** Undefined without values. */
export function meanInterval(values: readonly number[]): MeanInterval | undefined {
  const count = values.length;
  if (count === 0) return undefined;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  if (count === 1) return { mean, halfWidth: null, count };
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
  return { mean, halfWidth: tQuantile(count - 1) * Math.sqrt(variance / count), count };
}
