/** What the synthetic partitioners share: names of clients, fair rounding, random proportions. */

import { assert, HeadwaterError } from '../../base/errors.ts';
import type { Rng } from '../../base/random.ts';
import type { Partition } from './partitioner.ts';

/** `client-00` … as wide as needed, so that the names sort by number. */
export function clientNames(clients: number): string[] {
  const width = String(clients - 1).length;
  return Array.from({ length: clients }, (_, i) => `client-${String(i).padStart(width, '0')}`);
}

/** Positions by client number → the partition. */
export function partitionOf(held: readonly (readonly number[])[]): Partition {
  const names = clientNames(held.length);
  return new Map(held.map((positions, i) => [names[i] as string, [...positions].sort((a, b) => a - b)]));
}

/** Whole sizes that sum to `total`, nearest to the proportions (largest remainder; ties to the lower index). */
export function sizesFrom(proportions: readonly number[], total: number): number[] {
  const exact = proportions.map((share) => share * total);
  const sizes = exact.map(Math.floor);
  const missing = total - sizes.reduce((a, b) => a + b, 0);
  const order = exact
    .map((value, i) => ({ i, remainder: value - Math.floor(value) }))
    .sort((a, b) => b.remainder - a.remainder || a.i - b.i);
  for (const { i } of order.slice(0, Math.max(0, missing))) sizes[i] = (sizes[i] as number) + 1;
  assert(sizes.reduce((a, b) => a + b, 0) === total, 'rounded sizes must sum to the total');
  return sizes;
}

/** Consecutive pieces of the given sizes. */
export function cut<T>(items: readonly T[], sizes: readonly number[]): T[][] {
  let start = 0;
  return sizes.map((size) => {
    const piece = items.slice(start, start + size);
    start += size;
    return piece;
  });
}

/** Symmetric Dirichlet(concentration) over `count` shares. In logarithms: tiny concentrations underflow otherwise. */
export function dirichlet(count: number, concentration: number, random: Rng): number[] {
  const logs = Array.from({ length: count }, () => logGamma(concentration, random));
  const largest = Math.max(...logs);
  return normalized(logs.map((value) => Math.exp(value - largest)));
}

export function normalized(weights: readonly number[]): number[] {
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

/** Logarithm of a Gamma(shape, 1) variate: Marsaglia & Tsang (2000) at shape + 1, boosted by U^(1/shape). */
function logGamma(shape: number, random: Rng): number {
  const d = shape + 1 - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = random.normal();
    const v = (1 + c * x) ** 3;
    if (v <= 0) continue;
    const u = 1 - random.uniform();
    if (Math.log(u) < 0.5 * x * x + d - d * v + d * Math.log(v)) {
      return Math.log(d * v) + Math.log(1 - random.uniform()) / shape;
    }
  }
}

/** Throws OPTION_INVALID when there are fewer examples than the clients need. */
export function requireEnough(examples: number, clients: number, minExamples: number): void {
  if (examples >= clients * minExamples) return;
  throw new HeadwaterError(
    'OPTION_INVALID',
    `${examples} examples are too few for ${clients} clients with at least ${minExamples} each`,
    { hint: 'Lower partition.clients or partition.minExamples.' },
  );
}
