/** What a worker is told so that it masks an update, or takes the masks of a round away: plain data. Keys are for memory only. */

import { assert, HeadwaterError } from '../base/errors.ts';
import { type Params, sizeOf, type Tensor, tensor } from '../base/tensor.ts';
import type { AggregateWork, TrainWork, UpdateCheck } from '../federation/events.ts';
import { groupsOf } from '../federation/masking/groups.ts';
import { maskedLayout, type NamedShape, unmaskedFile } from '../federation/masking/masked-vector.ts';
import type { Masking, SecureAggregation } from '../federation/masking/secure-aggregation.ts';
import { decodeParams } from '../federation/params.ts';
import type { RunPlan } from '../federation/plan.ts';
import { labelledHash } from '../privacy/secure-aggregation/context.ts';
import { addMasks, type MaskTerm, removeMasks } from '../privacy/secure-aggregation/mask-stream.ts';
import { wordsOfBytes } from '../privacy/secure-aggregation/words.ts';
import type { Recipe } from '../recipe/schema.ts';
import {
  DEFAULT_ADVERSARIES,
  DEFAULT_DROPOUTS,
  DEFAULT_STEP_SECONDS,
} from '../recipe/secure-aggregation-schema.ts';

export interface MaskOrder extends Masking {
  readonly terms: readonly MaskTerm[];
}

/** By group of members: what was added to their sum. */
export interface UnmaskOrder {
  /** Places in the members of the round. */
  readonly groups: readonly (readonly number[])[];
  /** Keys of the masks, by group, or the blob of their sums one behind the other. */
  readonly masks: readonly (readonly MaskTerm[])[] | { readonly sums: string };
}

/** What a recipe’s plan says of it. */
export function plannedSecureAggregation({ privacy }: Recipe): SecureAggregation | undefined {
  if (privacy?.secureAggregation === undefined) return undefined;
  const { mode, groupSize, adversaries, dropouts, stepSeconds } = privacy.secureAggregation;
  if (mode === 'two-server') return { mode, ...(groupSize === undefined ? {} : { groupSize }) };
  return {
    mode,
    ...(groupSize === undefined ? {} : { groupSize }),
    assumed: { adversaries: adversaries ?? DEFAULT_ADVERSARIES, dropouts: dropouts ?? DEFAULT_DROPOUTS },
    stepMs: 1000 * (stepSeconds ?? DEFAULT_STEP_SECONDS),
  };
}

/** Of a masked update nothing is known but its form; one that is no good is refused as what it is. */
export async function asSent(
  update: Uint8Array,
  check: UpdateCheck,
  mask: MaskOrder | undefined,
): Promise<{ readonly update: Uint8Array; readonly check: UpdateCheck }> {
  if (mask === undefined || !check.ok) return { update, check };
  return { update: await maskedUpdate(update, mask), check: { ok: true, l2Norm: null } };
}

/** What is behind a mask whose keys are known: nobody but a simulation has them. */
export async function openedUpdate(
  bytes: Uint8Array,
  tensors: readonly NamedShape[],
  { terms, weight, fractionBits }: MaskOrder,
): Promise<Params> {
  const { header, words: count, begins } = maskedLayout(tensors);
  const words = wordsOfBytes(bytes.slice(header.byteLength));
  assert(words.length === count, 'a masked update has the words of its tensors');
  await removeMasks(words, terms);
  const unit = 2 ** -fractionBits / weight;
  const entries = tensors.map(({ name, shape }): [string, Tensor<'float32'>] => {
    const begin = begins.get(name)!;
    const own = words.subarray(begin, begin + sizeOf(shape));
    return [
      name,
      tensor(
        'float32',
        shape,
        Float32Array.from(own, (word) => (word | 0) * unit),
      ),
    ];
  });
  return new Map(entries);
}

/** A plain update as the file that travels instead. Throws UPDATE_REJECTED for values that are no numbers. */
async function maskedUpdate(update: Uint8Array, { terms, ...masking }: MaskOrder): Promise<Uint8Array> {
  const { bytes, words } = unmaskedFile(decodeParams(update), masking);
  await addMasks(words, terms);
  return bytes;
}

/** Masks that follow from the run's seed: for measuring what they cost and proving that they leave the sum alone. They hide nothing. */
export function simulatedMask({ seed }: RunPlan, work: TrainWork): MaskOrder | undefined {
  const { masking, round, owner } = work;
  if (masking === undefined) return undefined;
  return { ...masking, terms: [simulatedTerm(seed, round, masking.attempt, owner)] };
}

export function simulatedUnmasking(plan: RunPlan, work: AggregateWork): UnmaskOrder | undefined {
  const { secureAggregation, seed, quorum } = plan;
  const { round, members, membership, attempt = 1 } = work;
  if (secureAggregation === undefined) return undefined;
  const { mode, groupSize = null } = secureAggregation;
  // Owners draw groups before it is known who drops out.
  const filledBy = mode === 'secagg-plus' ? quorum : members.length;
  const groups = groupsOf(members.length, groupSize, membership, filledBy);
  const term = (place: number) => simulatedTerm(seed, round, attempt, members[place]!.owner);
  return { groups, masks: groups.map((places) => places.map(term)) };
}

function simulatedTerm(seed: number, round: number, attempt: number, owner: string): MaskTerm {
  const path = new TextEncoder().encode(JSON.stringify([seed, round, attempt, owner]));
  return { key: labelledHash('simulated', path), sign: 1 };
}

/** Who opens the masks has a name in a deployment. Throws RECIPE_INVALID. */
export function checkHelper({ privacy }: Recipe): void {
  const { mode, helper } = privacy?.secureAggregation ?? {};
  if (mode !== 'two-server' || helper !== undefined) return;
  throw new HeadwaterError(
    'RECIPE_INVALID',
    'privacy.secureAggregation.helper is missing: in a deployment with two servers another party opens the masks',
    { hint: 'Have that party start `headwater helper`, and put the url and key that it prints here.' },
  );
}
