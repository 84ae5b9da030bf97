/** Small helpers for op records. */

import { assert } from '../../base/errors.ts';

/** The single element of a list. */
export function only<T>(items: readonly T[]): T {
  assert(items.length >= 1, 'expected an operand');
  return items[0] as T;
}

/** The first two elements. */
export function two<T>(items: readonly T[]): readonly [T, T] {
  assert(items.length >= 2, 'expected two operands');
  return [items[0] as T, items[1] as T];
}

export function three<T>(items: readonly T[]): readonly [T, T, T] {
  assert(items.length >= 3, 'expected three operands');
  return [items[0] as T, items[1] as T, items[2] as T];
}
