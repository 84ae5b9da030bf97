/** Seeded bytes where a process would ask the system for secret ones. */

import type { Rng } from '../src/base/random.ts';

export function randomBytes(random: Rng, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, () => random.below(256));
}
