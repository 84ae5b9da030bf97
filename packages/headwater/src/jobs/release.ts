/** What a worker is told of a noisy release, as plain data, and what it makes of it. */

import { rng, type SeedPart } from '../base/random.ts';
import type { NoiseSource, NoisyRelease } from '../federation/noisy-release.ts';

export interface ReleaseOrder extends Omit<NoisyRelease, 'noise'> {
  /** Of this run and round alone. */
  readonly noise: { readonly kind: 'simulated'; readonly seedPath: readonly SeedPart[] };
}

export function releaseOf(order: ReleaseOrder): NoisyRelease {
  return { ...order, noise: simulated(order.noise.seedPath) };
}

/** Noise that follows from the run's seed, so that a resumed run is the same run: it hides nothing from who has the seed. */
export function simulated(seedPath: readonly SeedPart[]): NoiseSource {
  return { kind: 'simulated', words: (stream) => rng(...seedPath, stream).uint32 };
}
