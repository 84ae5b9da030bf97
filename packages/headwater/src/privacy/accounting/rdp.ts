/** Rényi accountant: divergences at a fixed grid of orders, their sum over releases, and what they mean as (ε, δ). */

/** Opacus' orders, then a few larger ones for very small budgets. */
export const ORDERS: readonly number[] = [
  ...Array.from({ length: 99 }, (_, i) => 1 + (i + 1) / 10),
  ...Array.from({ length: 52 }, (_, i) => 12 + i),
  ...[64, 80, 96, 128, 192, 256, 384, 512, 1024],
];

export interface RdpEpsilon {
  readonly epsilon: number;
  /** The order at which the bound is smallest. */
  readonly order: number;
}

/**
 * ε = min_α r_α + ln((α − 1)/α) − (ln δ + ln α)/(α − 1), and 0 where δ² > 1 − e^{−r}
 * (Balle et al. 2020, Theorem 21; Canonne, Kamath, Steinke 2020, Proposition 12; the second by Bretagnolle and Huber).
 *
 * @param rdp ε_α for each of ORDERS
 */
export function epsilonOfRdp(rdp: readonly number[], delta: number): RdpEpsilon {
  let best: RdpEpsilon = { epsilon: Number.POSITIVE_INFINITY, order: ORDERS[0]! };
  ORDERS.forEach((order, i) => {
    const epsilon = epsilonAt(order, rdp[i]!, delta);
    if (epsilon < best.epsilon) best = { epsilon, order };
  });
  return best;
}

function epsilonAt(order: number, rdp: number, delta: number): number {
  if (delta * delta + Math.expm1(-rdp) > 0) return 0;
  const epsilon = rdp + Math.log1p(-1 / order) - (Math.log(delta) + Math.log(order)) / (order - 1);
  return Math.max(0, epsilon);
}
