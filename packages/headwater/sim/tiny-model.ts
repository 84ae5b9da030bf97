/**
 * The model that is trained in a simulation: a few numbers, pulled by every owner to a place of its own. Training is a pure
 * function of params, owner, round and what was kept, so that whatever should not matter shows in the result if it does.
 */

import { rng } from '../src/base/random.ts';
import { type Params, sizeOf, tensor } from '../src/base/tensor.ts';
import type { OwnerScores } from '../src/federation/events.ts';
import { sortedParams } from '../src/federation/params.ts';
import type { TrainingStats } from '../src/federation/training-stats.ts';

export const TINY_TENSORS = [
  { name: 'layers.0.q_proj.lora_A', shape: [2, 4] },
  { name: 'layers.0.q_proj.lora_B', shape: [4, 2] },
  { name: 'layers.1.q_proj.lora_A', shape: [3] },
] as const;

/** With so many values the bytes of an update go in several pieces of the chunk size of the simulation. */
export function tinyParams(value: (name: string, index: number) => number): Params {
  return sortedParams(
    TINY_TENSORS.map(({ name, shape }) => [
      name,
      tensor(
        'float32',
        shape,
        Float32Array.from({ length: sizeOf(shape) }, (_, i) => value(name, i)),
      ),
    ]),
  );
}

export function initialTinyParams(seed: number): Params {
  const random = rng(seed, 'tiny-init');
  return tinyParams(() => random.normal());
}

export interface TinyOwner {
  readonly seed: number;
  readonly owner: string;
  readonly numExamples: number;
}

export interface TinyTraining {
  readonly update: Params;
  /** Half of what was kept before and a part of this update: it remembers every training that counted. */
  readonly kept: Params;
}

/** update = 0.3 (target − params) + 0.05 noise + 0.1 kept, within ±4. */
export function trainTiny(
  { seed, owner }: TinyOwner,
  round: number,
  params: Params,
  kept: Params | undefined,
): TinyTraining {
  const target = rng(seed, 'tiny-target', owner);
  const noise = rng(seed, 'tiny-noise', owner, round);
  const keptAt = (name: string, i: number) => kept?.get(name)?.data[i] ?? 0;
  const update = tinyParams((name, i) => {
    const here = params.get(name)!.data[i]!;
    const raw = 0.3 * (target.normal() - here) + 0.05 * noise.normal() + 0.1 * keptAt(name, i);
    return Math.max(-4, Math.min(4, raw));
  });
  return { update, kept: tinyParams((name, i) => 0.5 * keptAt(name, i) + 0.25 * update.get(name)!.data[i]!) };
}

export function tinyStats(steps: number): TrainingStats {
  return {
    steps,
    numExamples: steps,
    numTokens: 10 * steps,
    numTargets: 5 * steps,
    meanLoss: 1,
    lastLoss: 0.5,
  };
}

/** Mean squared distance to the owner's target. */
export function scoreTiny({ seed, owner, numExamples }: TinyOwner, params: Params): OwnerScores {
  const target = rng(seed, 'tiny-target', owner);
  let sum = 0;
  let count = 0;
  for (const { data } of params.values())
    for (const x of data) {
      sum += (x - target.normal()) ** 2;
      count++;
    }
  return { numExamples, numTargets: 10 * numExamples, scores: { loss: sum / count } };
}
