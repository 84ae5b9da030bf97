/**
 * Canaries through the very mechanisms that make releases private: each canary is a client (or an example) whose vector has exactly
 * the clip norm, in or out by a fair coin; whoever knows the canaries scores the releases. It knows no recipe.
 */

import { randomBytes } from 'node:crypto';
import { rng } from '../../base/random.ts';
import { type Params, tensor } from '../../base/tensor.ts';
import { takePrivateMean } from '../../federation/aggregate.ts';
import type { ClientPrivacy } from '../../federation/client-privacy.ts';
import { addUpdate, emptySum, planFixedPoint } from '../../federation/fixed-point.ts';
import { nodesClosedBy, nodesOf } from '../../federation/noise-tree.ts';
import { type NoisyRelease, normOf, serverClipFactor, withZeros } from '../../federation/noisy-release.ts';
import { clippedSum } from '../../privacy/clipped-sum.ts';
import { KEY_BYTES, keystreamWords } from '../../privacy/keystream-node.ts';
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

/** What is audited of a plan: that a clip adapts costs its own part, and is left out. */
export type Audited = Pick<ClientPrivacy, 'clipNorm' | 'noiseMultiplier' | 'tree' | 'poisson'>;

/**
 * Client level: every canary that is in takes part in so many releases of the deployment's own sum (drawn into each by the secret coins
 * of the plan, if it has any), or is in the first leaf, which most nodes are over, of as many trees.
 */
export function clientCanaries(run: CanaryRun, privacy: Audited, participations: number): ScoredCanaries {
  const isIn = coins(run);
  const released = new Float64Array(run.dimension);
  for (let i = 0; i < participations; i++)
    if (privacy.tree === undefined) add(released, freshRelease(run, privacy, isIn));
    else addTree(released, run, privacy, isIn);
  return { scores: scoresOf(run, released), isIn };
}

function freshRelease(run: CanaryRun, privacy: Audited, isIn: readonly boolean[]): Float32Array {
  const words = secretWords();
  const { rate = 1 } = privacy.poisson ?? {};
  const counted = isIn.map((here) => here && (rate === 1 || words() * 2 ** -32 < rate));
  return meanOf(run, counted, { ...privacy, noise: { kind: 'secret', words: () => secretWords() } });
}

/**
 * What a tree tells of its first leaf: the noisy sum of the first t releases for each power of two t, which is a node with noise of its
 * own. Every release is made as the deployment makes it, and the sums are those of releases.
 */
function addTree(released: Float64Array, run: CanaryRun, privacy: Audited, isIn: readonly boolean[]): void {
  const keys = new Map<number, Uint8Array>();
  const wordsOf = (node: number) => () => {
    const key = keys.get(node) ?? new Uint8Array(randomBytes(KEY_BYTES));
    keys.set(node, key);
    return keystreamWords(key, 0);
  };
  const nobody = isIn.map(() => false);
  const prefix = new Float64Array(run.dimension);
  for (let leaf = 1; leaf <= privacy.tree!.leaves; leaf++) {
    const removed = nodesClosedBy(leaf).map(wordsOf);
    const noise = { kind: 'secret', words: wordsOf(leaf), removed } as const;
    add(prefix, meanOf(run, leaf === 1 ? isIn : nobody, { ...privacy, leaf, noise }));
    if (nodesOf(leaf).length === 1) add(released, prefix);
  }
}

/** One release over those who are counted. */
function meanOf(
  run: CanaryRun,
  counted: readonly boolean[],
  release: Audited & Pick<NoisyRelease, 'noise' | 'leaf'>,
): Float32Array {
  const { canaries, dimension } = run;
  const { clipNorm } = release;
  const plan = planFixedPoint([{ name: TENSOR, shape: [dimension] }], FIXED_POINT);
  const sum = emptySum();
  for (let i = 0; i < canaries; i++) {
    if (!counted[i]) continue;
    const update: Params = new Map([[TENSOR, tensor('float32', [dimension], canary(run, i, clipNorm))]]);
    addUpdate(plan, sum, update, 1, 1, serverClipFactor(normOf(update), clipNorm, sum));
  }
  const whole = withZeros(sum, plan.tensors);
  const { mean } = takePrivateMean(plan, whole, { ...release, maxParticipations: 1, denominator: canaries });
  return mean.get(TENSOR)!.data as Float32Array;
}

function add(total: Float64Array, values: Float32Array | Float64Array): void {
  for (let d = 0; d < total.length; d++) total[d]! += values[d]!;
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
    add(released, sum.released(words));
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
