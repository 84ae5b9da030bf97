/** What a worker is told of a noisy release, as plain data, and what it makes of it. */

import { rng, type SeedPart } from '../base/random.ts';
import type { AggregateWork } from '../federation/events.ts';
import type { NoiseSource, NoisyRelease } from '../federation/noisy-release.ts';
import type { RunPlan } from '../federation/plan.ts';
import { keystreamWords } from '../privacy/keystream-node.ts';

/** Of one run and round alone. A key is for memory: it is in no file, line or message that outlasts the round. */
export type NoiseOrder =
  | {
      readonly kind: 'simulated';
      readonly seedPath: readonly SeedPart[];
      readonly removed?: readonly (readonly SeedPart[])[];
    }
  | {
      readonly kind: 'secret';
      readonly key: Uint8Array;
      /** Of nodes of a tree whose noise leaves the sum. */
      readonly removed?: readonly Uint8Array[];
    }
  /** It is in the updates already. */
  | { readonly kind: 'added'; readonly by: 'simulated' | 'secret' };

export interface ReleaseOrder extends Omit<NoisyRelease, 'noise'> {
  readonly noise: NoiseOrder;
}

/** Undefined for rounds of a plan without privacy. */
export function releaseOrder(
  { privacy, cohortSize, pace }: Pick<RunPlan, 'privacy' | 'cohortSize' | 'pace'>,
  { clipNorm = privacy?.clipNorm, tree }: Pick<AggregateWork, 'clipNorm' | 'tree'>,
  noise: () => NoiseOrder,
): ReleaseOrder | undefined {
  if (privacy === undefined || clipNorm === undefined) return undefined;
  const by = pace.evaluatedBy === 'shell' ? 'simulated' : 'secret';
  const source = privacy.trust === undefined ? noise() : ({ kind: 'added', by } as const);
  const leaf = tree === undefined ? {} : { leaf: tree.leaf };
  return { ...privacy, clipNorm, denominator: cohortSize, noise: source, ...leaf };
}

/** Noise that follows from the run's seed, so that a resumed run is the same run: it hides nothing from who has the seed. */
export function simulatedNoise(
  seed: number,
  { round, tree }: Pick<AggregateWork, 'round' | 'tree'>,
): NoiseOrder {
  const pathOf = (made: number) => [seed, 'privacy', 'noise', made];
  return { kind: 'simulated', seedPath: pathOf(round), removed: tree?.removes.map(pathOf) ?? [] };
}

export function releaseOf(order: ReleaseOrder): NoisyRelease {
  return { ...order, noise: sourceOf(order.noise) };
}

const STREAMS = { sum: 0, count: 1 } as const;

function sourceOf(order: NoiseOrder): NoiseSource {
  const { kind } = order;
  if (kind === 'added') return { kind: order.by, words: () => assertNever() };
  if (kind === 'secret') {
    const removed = order.removed?.map((key) => () => keystreamWords(key, STREAMS.sum)) ?? [];
    return { kind, words: (stream) => keystreamWords(order.key, STREAMS[stream]), removed };
  }
  const removed = order.removed?.map((path) => () => rng(...path, 'sum').uint32) ?? [];
  return { kind, words: (stream) => rng(...order.seedPath, stream).uint32, removed };
}

function assertNever(): never {
  throw new Error('the updates have their noise already');
}
