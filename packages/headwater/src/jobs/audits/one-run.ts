/**
 * Canaries through the very mechanisms that make releases private: each canary is a client (or an example) whose vector has exactly
 * the clip norm, in or out by a fair coin; whoever knows the canaries scores the releases. It knows no recipe.
 */

import { rng } from '../../base/random.ts';
import { type Params, tensor } from '../../base/tensor.ts';
import { takePrivateMean } from '../../federation/aggregate.ts';
import type { ClientPrivacy } from '../../federation/client-privacy.ts';
import { addUpdate, emptySum, planFixedPoint } from '../../federation/fixed-point.ts';
import { normOf, serverClipFactor } from '../../federation/noisy-release.ts';
import { clippedSum } from '../../privacy/clipped-sum.ts';
import { secretWords } from '../../privacy/secret-words.ts';

export interface CanaryRun {
  /** m. */
  readonly canaries: number;
  /** d, of the released vector. */
  readonly dimension: number;
  /** Of canaries and coins, which the auditor knows; never of the noise. */
  readonly seed: number;
}

export interface ScoredCanaries {
  /** ⟨Σ releases, canary⟩. */
  readonly scores: readonly number[];
  readonly isIn: readonly boolean[];
}

const FIXED_POINT = { fractionBits: 30, range: 8 } as const;
const TENSOR = 'canary';

/** Client level: every canary that is in sends its vector in each of `rounds` releases of the deployment's own sum. */
export function clientCanaries(
  run: CanaryRun,
  privacy: Pick<ClientPrivacy, 'clipNorm' | 'noiseMultiplier'>,
  rounds: number,
): ScoredCanaries {
  const { canaries, dimension } = run;
  const { clipNorm, noiseMultiplier } = privacy;
  const plan = planFixedPoint([{ name: TENSOR, shape: [dimension] }], FIXED_POINT);
  const isIn = coins(run);
  const released = new Float64Array(dimension);
  for (let round = 0; round < rounds; round++) {
    const sum = emptySum();
    for (let i = 0; i < canaries; i++) {
      if (!isIn[i]) continue;
      const update: Params = new Map([[TENSOR, tensor('float32', [dimension], canary(run, i, clipNorm))]]);
      addUpdate(plan, sum, update, 1, 1, serverClipFactor(normOf(update), clipNorm, sum));
    }
    const { mean } = takePrivateMean(plan, sum, {
      ...{ clipNorm, noiseMultiplier, maxParticipations: rounds, denominator: canaries },
      noise: { kind: 'secret', words: () => secretWords() },
    });
    const values = mean.get(TENSOR)!.data as Float32Array;
    for (let d = 0; d < dimension; d++) released[d]! += values[d]!;
  }
  return { scores: scoresOf(run, released), isIn };
}

export interface ExampleSteps {
  readonly clipNorm: number;
  readonly noiseMultiplier: number;
  readonly samplingRate: number;
  readonly steps: number;
}

/** Example level: every canary that is in is drawn into each step with probability q; its gradient has the clip norm. */
export function exampleCanaries(
  run: CanaryRun,
  { clipNorm, noiseMultiplier, samplingRate, steps }: ExampleSteps,
): ScoredCanaries {
  const { canaries, dimension } = run;
  const isIn = coins(run);
  const words = secretWords();
  const isDrawn = () => words() * 2 ** -32 < samplingRate;
  const released = new Float64Array(dimension);
  for (let step = 0; step < steps; step++) {
    const sum = clippedSum(dimension, clipNorm, noiseMultiplier);
    for (let i = 0; i < canaries; i++) if (isIn[i] && isDrawn()) sum.add([canary(run, i, clipNorm)]);
    const values = sum.released(words);
    for (let d = 0; d < dimension; d++) released[d]! += values[d]!;
  }
  return { scores: scoresOf(run, released), isIn };
}

function coins({ canaries, seed }: CanaryRun): boolean[] {
  const random = rng(seed, 'audit', 'coins');
  return Array.from({ length: canaries }, () => random.uint32() % 2 === 1);
}

/** ±C/√d in each coordinate: as far from each other as random directions are, and never longer than C. */
function canary({ dimension, seed }: CanaryRun, index: number, norm: number): Float32Array {
  const random = rng(seed, 'audit', 'canary', index);
  const size = norm / Math.sqrt(dimension);
  const values = new Float32Array(dimension);
  for (let at = 0; at < dimension; at += 32)
    for (let bits = random.uint32(), d = at; d < Math.min(at + 32, dimension); d++, bits >>>= 1)
      values[d] = (bits & 1) === 1 ? size : -size;
  return values;
}

function scoresOf(run: CanaryRun, released: Float64Array): number[] {
  return Array.from({ length: run.canaries }, (_, i) => {
    const direction = canary(run, i, 1);
    let dot = 0;
    for (let d = 0; d < released.length; d++) dot += released[d]! * direction[d]!;
    return dot;
  });
}
