/**
 * Test helper: a federation of softmax regressions whose owners hold parts of the same data, and two of whom send what they did
 * not learn. What a watch sees of each round, without files and models.
 */

import { rng } from '../../src/base/random.ts';
import { freeRider } from '../../src/federation/attacks/free-rider.ts';
import type { OwnerSigns } from '../../src/federation/free-riders/report.ts';
import {
  signsOfRound,
  type WatchedUpdate,
  type WatchMemory,
} from '../../src/federation/free-riders/signs.ts';

export type ToyRider = 'zero' | 'echo' | 'gaussian' | 'noisy-echo' | 'copy' | 'noise';

const [INPUTS, CLASSES, HONEST, RIDERS, STEPS, BATCH] = [40, 16, 8, 2, 8, 12];
const SIZE = INPUTS * CLASSES;

export interface ToyRound {
  readonly updates: readonly WatchedUpdate[];
  readonly moved: Float32Array | undefined;
}

export interface ToyLook extends OwnerSigns {
  readonly owner: number;
  readonly round: number;
}

export function toyFederation({
  rider,
  rounds,
  from = 1,
  seed = 1,
}: {
  readonly rider: ToyRider;
  readonly rounds: number;
  readonly from?: number;
  readonly seed?: number;
}) {
  const truth = normals(SIZE, seed, 'truth');
  let [now, moved]: [Float64Array, Float64Array | undefined] = [new Float64Array(SIZE), undefined];
  let memory: WatchMemory = new Map();
  const seen: ToyRound[] = [];
  const looks: ToyLook[] = [];
  for (let round = 1; round <= rounds; round++) {
    const honest = Array.from({ length: HONEST }, (_, owner) => learnt(now, truth, [seed, owner, round]));
    const others = Array.from({ length: RIDERS }, (_, i) =>
      round < from
        ? learnt(now, truth, [seed, HONEST + i, round])
        : freeRider.craft!(
            {
              ...{ own: new Float64Array(0), honest, moved, round, size: SIZE },
              ...{ numUpdates: HONEST + RIDERS, numAdversaries: RIDERS, random: rng(seed, 'ride', i, round) },
            },
            freeRider.options.parse({ owners: 2, sends: rider, from }),
          ),
    );
    const sent = [...honest, ...others];
    const last = moved && Float32Array.from(moved);
    const updates = sent.map((update, i) => watched(`o${i}`, update, moved));
    // As a round does it: of equal bytes only the first are counted.
    const isCopy = (i: number) => updates[i]!.norm > 0 && sent.indexOf(sent[i]!) < i;
    const signs = signsOfRound(
      updates.filter((_, i) => !isCopy(i)),
      last,
      memory,
    );
    memory = signs.memory;
    seen.push({ updates, moved: last });
    const nothing = { echo: null, similarity: null, deviation: null, accumulated: null };
    for (const owner of updates.keys())
      looks.push({ ...(signs.owners[`o${owner}`] ?? { ...nothing, signs: ['copy'] }), owner, round });
    moved = sent[0]!.map((_, k) => sent.reduce((sum, update) => sum + update[k]!, 0) / sent.length);
    now = now.map((x, k) => x + moved![k]!);
  }
  const isRider = ({ owner, round }: ToyLook) => round >= from && owner >= HONEST;
  return { rounds: seen, looks, isRider };
}

function watched(owner: string, update: Float64Array, moved: Float64Array | undefined): WatchedUpdate {
  const norm = Math.hypot(...update);
  const half = SIZE / 2;
  const echo = moved === undefined || norm === 0 ? null : dot(update, moved) / norm / Math.hypot(...moved);
  const profile = [Math.hypot(...update.slice(0, half)), Math.hypot(...update.slice(half))];
  return { owner, norm, last: Float32Array.from(update), profile, echo };
}

/** Adam on fresh examples of the one distribution. */
function learnt(start: Float64Array, truth: Float64Array, path: readonly number[]): Float64Array {
  const random = rng('toy', ...path);
  const weights = Float64Array.from(start);
  const [m, v] = [new Float64Array(SIZE), new Float64Array(SIZE)];
  for (let step = 1; step <= STEPS; step++) {
    const gradient = new Float64Array(SIZE);
    for (let b = 0; b < BATCH; b++) addExample(gradient, weights, truth, random);
    for (let i = 0; i < SIZE; i++) {
      m[i] = 0.9 * m[i]! + 0.1 * gradient[i]!;
      v[i] = 0.99 * v[i]! + 0.01 * gradient[i]! ** 2;
      const [first, second] = [m[i]! / (1 - 0.9 ** step), v[i]! / (1 - 0.99 ** step)];
      weights[i]! -= (0.03 * first) / (Math.sqrt(second) + 1e-8);
    }
  }
  return weights.map((x, i) => x - start[i]!);
}

function addExample(
  gradient: Float64Array,
  weights: Float64Array,
  truth: Float64Array,
  random: ReturnType<typeof rng>,
): void {
  const x = Float64Array.from({ length: INPUTS }, (_, i) => random.normal() / (1 + i / 4));
  const logits = (from: Float64Array) =>
    Array.from({ length: CLASSES }, (_, c) => dot(x, from.subarray(c * INPUTS, (c + 1) * INPUTS)));
  const wanted = logits(truth);
  const label = wanted.indexOf(Math.max(...wanted));
  const own = logits(weights);
  const top = Math.max(...own);
  const exp = own.map((value) => Math.exp(value - top));
  const total = exp.reduce((sum, value) => sum + value, 0);
  for (let c = 0; c < CLASSES; c++) {
    const error = exp[c]! / total - (c === label ? 1 : 0);
    for (let i = 0; i < INPUTS; i++) gradient[c * INPUTS + i]! += (error * x[i]!) / BATCH;
  }
}

function normals(size: number, ...path: (string | number)[]): Float64Array {
  const random = rng(...path);
  return Float64Array.from({ length: size }, () => random.normal());
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
