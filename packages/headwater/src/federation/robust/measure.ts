/**
 * How far the updates of a round are from each other: element by element, or, where both factors of LoRA travel, as the products
 * B A that they stand for. The products are never made: ‖B_i A_i − B_j A_j‖² comes from inner products of factors. It knows no
 * rule.
 */

import type { Params } from '../../base/tensor.ts';
import { cohortOf, factorPairs } from '../lora-cohort.ts';
import type { WeightedUpdate } from '../method.ts';
import { outerGram, outerOf } from '../outer-products.ts';
import { zerosLike } from '../params.ts';
import type { Geometry } from './geometry.ts';
import type { BoundRule } from './rule.ts';

export interface Measured {
  readonly updates: readonly Params[];
  /** Further base points behind zero, of the same tensors. */
  readonly others: readonly Params[];
  /** Global params before the round. */
  readonly params: Params;
  readonly space: BoundRule['space'];
}

/** Whether distances are those of products. */
export function measuresProducts(
  { space, keeps }: Pick<BoundRule, 'space' | 'keeps'>,
  update: Params,
): boolean {
  return space !== 'elements' && keeps !== 'sums' && factorPairs(update).length > 0;
}

/** Base points: the updates, zero, the others. */
export function measured({ updates, others, params, space }: Measured): Geometry {
  const points = [...updates, zerosLike(updates[0]!), ...others];
  const size = points.length;
  const geometry = { size, zero: updates.length, squares: new Float64Array(size * size) };
  const products = space === 'elements' ? new Set<string>() : addProducts(geometry, points, params);
  for (const name of points[0]!.keys())
    if (!products.has(name))
      addElements(
        geometry,
        points.map((point) => point.get(name)!.data),
      );
  return geometry;
}

/** The names of what was measured. */
function addProducts(geometry: Geometry, points: readonly Params[], params: Params): Set<string> {
  const cohort: WeightedUpdate[] = points.map((update, i) => ({
    owner: String(i),
    aggregationWeight: 1,
    update,
  }));
  const names = new Set<string>();
  for (const { names: pair, clients } of cohortOf(cohort, params, 'difference')) {
    const gram = outerGram(clients.map(({ a, b }) => outerOf(b, a)));
    addPairs(geometry, (i, j) => Math.max(0, gram[i]![i]! + gram[j]![j]! - 2 * gram[i]![j]!));
    names.add(pair.a).add(pair.b);
  }
  return names;
}

export function addElements(geometry: Geometry, values: readonly ArrayLike<number>[]): void {
  addPairs(geometry, (i, j) => squaredDifference(values[i]!, values[j]!));
}

function addPairs({ size, squares }: Geometry, squared: (i: number, j: number) => number): void {
  for (let i = 0; i < size; i++)
    for (let j = 0; j < i; j++) {
      const value = squared(i, j);
      squares[i * size + j]! += value;
      squares[j * size + i]! += value;
    }
}

function squaredDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) * (a[i]! - b[i]!);
  return sum;
}
