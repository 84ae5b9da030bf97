/**
 * What adversaries of a simulated run do: to the examples that they hold, and to what they send. Functions of the round’s updates
 * and the seed. It knows no attack by name.
 */

import { HeadwaterError } from '../base/errors.ts';
import { type Rng, rng } from '../base/random.ts';
import { type Params, sameShape, sizeOf, tensor } from '../base/tensor.ts';
import type { Partition } from '../data/partition/partitioner.ts';
import type { Example } from '../data/types.ts';
import type { BoundAttack, Vector } from '../federation/attacks/attack.ts';
import { attackersOf } from '../federation/attacks/attackers.ts';
import type { BoundCompression } from '../federation/compression/compression.ts';
import { encodeUpdate } from '../federation/compression/encode.ts';
import type { BoundMethod } from '../federation/method.ts';
import { decodeParams, differenceOf } from '../federation/params.ts';
import { checkUpdateBytes } from '../federation/update-check.ts';
import { decodeUpdate } from '../federation/update-reader.ts';
import type { Blobs } from '../storage/blobs.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import type { AttackJob, AttackResult } from './jobs.ts';
import { asSent, type MaskOrder, openedUpdate } from './masking.ts';

export interface Poisoned {
  readonly train: readonly Example[];
  /** Sorted by name. */
  readonly attackers: readonly string[];
}

/** Training examples with those of the attackers as they want them. Throws RECIPE_INVALID, DATA_INVALID. */
export function poisoned(
  attack: BoundAttack,
  train: readonly Example[],
  partition: Partition,
  seed: number,
): Poisoned {
  const attackers = attackersOf(attack, [...partition.keys()], seed);
  if (attack.poison === undefined) return { train, attackers };
  const changed = [...train];
  for (const owner of attackers) {
    const positions = partition.get(owner) ?? [];
    const random = rng(seed, 'attack', 'poison', owner);
    const own = attack.poison(
      positions.map((position) => train[position]!),
      { all: train, random },
    );
    for (const [i, position] of positions.entries()) changed[position] = own[i]!;
  }
  return { train: changed, attackers };
}

export interface AttackParts {
  readonly attack: BoundAttack;
  readonly method: BoundMethod;
  readonly tensors: readonly TrainableTensor[];
  readonly compression: BoundCompression;
  readonly maxUpdateNorm: number | null;
  readonly blobs: Pick<Blobs, 'get' | 'put'>;
}

/** The update that an adversary sends, encoded and checked like everybody’s. */
export async function craftUpdate(parts: AttackParts, job: AttackJob): Promise<AttackResult> {
  const { attack, method, tensors, compression, blobs } = parts;
  const { seed, round, owner, own, honest, numUpdates, numAdversaries } = job;
  const travelling = method.wire(tensors, round, owner);
  const read = async (digest: string, mask?: MaskOrder) => {
    const bytes = await blobs.get(digest);
    return flattened(
      mask === undefined
        ? decodeUpdate(bytes, travelling, compression)
        : await openedUpdate(bytes, travelling, mask),
    );
  };
  const size = travelling.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const stream = rng(seed, 'attack', 'craft', owner, round);
  const crafted = attack.craft!({
    own: own === null ? new Float64Array(0) : await read(own),
    honest: await Promise.all(honest.map((digest, i) => read(digest, job.honestMasks?.[i]))),
    moved: attack.sees === 'before' ? await movedSince(blobs, job, travelling) : undefined,
    ...{ round, size, numUpdates, numAdversaries },
    random: stream,
  });
  const sent = attack.alike === true ? disguised(crafted, stream) : crafted;
  const random = rng(seed, owner, round, 'compress');
  const { bytes } = encodeUpdate(compression, unflattened(sent, travelling), random, undefined);
  const plainly = checkUpdateBytes(bytes, travelling, { compression, maxNorm: parts.maxUpdateNorm });
  const { update, check } = await asSent(bytes, plainly, job.mask);
  return { update: await blobs.put(update), upBytes: update.byteLength, check };
}

/** Relative to each element: no two are the same, and no rule sees a difference. */
const DISGUISE = 1e-4;

function disguised(vector: Vector, random: Rng): Vector {
  return vector.map((value) => value * (1 + DISGUISE * random.normal()));
}

/** What the round before changed in the tensors that travel. Throws RECIPE_INVALID where updates are no changes of params. */
async function movedSince(
  blobs: Pick<Blobs, 'get'>,
  { before, params }: AttackJob,
  travelling: readonly TrainableTensor[],
): Promise<Vector | undefined> {
  if (before === null) return undefined;
  const load = async (digest: string) => decodeParams(await blobs.get(digest), `blob ${digest}`);
  const [now, then] = [await load(params), await load(before)];
  const foreign = travelling.find(({ name, shape }) => !sameShape(now.get(name)?.shape ?? [], shape));
  if (foreign !== undefined)
    throw new HeadwaterError(
      'RECIPE_INVALID',
      `simulation.attack echoes params, but what travels in this run ("${foreign.name}") is something else`,
      { hint: 'Choose a method that sends changes of its params, such as fedavg, or sends: gaussian.' },
    );
  const pick = (from: Params) => new Map(travelling.map(({ name }) => [name, from.get(name)!]));
  return flattened(differenceOf(pick(now), pick(then)));
}

function flattened(update: Params): Vector {
  const flat = new Float64Array([...update.values()].reduce((sum, { data }) => sum + data.length, 0));
  let at = 0;
  for (const { data } of update.values()) {
    flat.set(data, at);
    at += data.length;
  }
  return flat;
}

function unflattened(vector: Vector, tensors: readonly TrainableTensor[]): Params {
  let at = 0;
  return new Map(
    tensors.map(({ name, shape }) => {
      const data = Float32Array.from(vector.subarray(at, at + sizeOf(shape)));
      at += sizeOf(shape);
      return [name, tensor('float32', shape, data)];
    }),
  );
}
