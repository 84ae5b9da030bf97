/**
 * From a trained update to the masked one that is sent instead, where the signed manifest says that the coordinator sees no single
 * update. What it asks for is held against that manifest; nothing plain is ever remembered or sent.
 */

import { fromBase64url, toBase64url } from '../base/base64url.ts';
import { HeadwaterError, messageOf } from '../base/errors.ts';
import type { Params } from '../base/tensor.ts';
import { layoutDigest, unmaskedFile } from '../federation/masking/masked-vector.ts';
import type { Masking } from '../federation/masking/secure-aggregation.ts';
import { decodeParams } from '../federation/params.ts';
import type { Manifest, MaskedFactsMessage } from '../federation/wire/messages.ts';
import { addMask } from '../privacy/secure-aggregation/mask-stream.ts';
import {
  maskKeyOf,
  SEED_BYTES,
  sealSeed,
  signedBytes,
  type TwoServerContext,
  twoServerContext,
} from '../privacy/secure-aggregation/two-server/envelope.ts';
import { notAsAgreed } from './failures.ts';
import { digestOf, portableHasher } from './hashing.ts';
import type { Identity } from './identity.ts';
import type { ClientParts, Trainer, TrainTask } from './ports.ts';
import { type AgreedMasking, termsOf } from './terms.ts';

export type MaskingIdentity = Pick<Identity, 'owner' | 'operatorKey' | 'signer' | 'manifest'>;

export interface MaskedUpdate {
  readonly update: Uint8Array;
  readonly masked: MaskedFactsMessage;
}

/** What a mask hides from whom, for the owner; undefined: nothing is masked. */
export function maskingWords(manifest: Manifest): string | undefined {
  const { secureAggregation } = termsOf(manifest);
  if (secureAggregation === undefined) return undefined;
  const { mode, helper, groupSize } = secureAggregation;
  const sums =
    groupSize === undefined
      ? `at least ${manifest.minCohort} owners`
      : `groups of at least ${groupSize} owners`;
  const opened =
    mode === 'two-server'
      ? `the helper at ${helper?.url} (key ${helper?.key}) opens the masks and sees no update; only both together could read yours, or the coordinator with all others of a sum on its side`
      : 'the owners of a round open the masks together';
  return `what you send is masked: the coordinator sees sums over ${sums}; ${opened}`;
}

/** Undefined: this run masks nothing. Throws JOIN_REFUSED where the coordinator asks for something else than was signed. */
export function agreedMasking(
  manifest: Manifest,
  { masking }: Pick<TrainTask, 'masking'>,
  counts: Trainer['counts'],
): Masking | undefined {
  const { secureAggregation, weighting } = termsOf(manifest);
  if (secureAggregation === undefined) {
    if (masking === undefined) return undefined;
    throw notAsAgreed('a masked update, of which the signed run does not speak');
  }
  if (masking === undefined)
    throw notAsAgreed('an update without a mask; the signed run has secure aggregation');
  const { weight, fractionBits, range } = masking;
  // Whoever counts far more than the others shines through their sum.
  const most = mostWeight(weighting, counts);
  if (weight > most)
    throw notAsAgreed(`an update that counts ${weight} times; by what was signed it is ${most} at most`);
  if (weight * range * 2 ** fractionBits > 2 ** 31 - 1)
    throw notAsAgreed(
      `a weight of ${weight} with ${fractionBits} bits up to ${range}, which 32 bits do not hold`,
    );
  return masking;
}

/** Weights are counts over a common divisor, scaled down where they must be. */
function mostWeight(weighting: string | undefined, { numExamples, numTokens }: Trainer['counts']): number {
  if (weighting === 'uniform') return 1;
  return weighting === 'tokens' ? numTokens : numExamples;
}

/** What was trained, as params. Throws UPDATE_REJECTED for values that are no numbers, which nobody could see behind a mask. */
export function checkMaskable(update: Uint8Array): Params {
  try {
    return decodeParams(update);
  } catch (cause) {
    throw new HeadwaterError('UPDATE_REJECTED', `the update cannot be masked: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** Throws UPDATE_REJECTED for values that are no numbers. */
export async function maskedUpdate(
  parts: Pick<ClientParts, 'entropy' | 'hasher'>,
  identity: MaskingIdentity,
  task: TrainTask,
  masking: Masking,
  update: Uint8Array,
): Promise<MaskedUpdate> {
  const { manifest, owner, signer } = identity;
  const helper = helperOf(termsOf(manifest).secureAggregation!);
  const params = checkMaskable(update);
  const { bytes, words } = unmaskedFile(params, masking);
  const tensors = [...params].map(([name, { shape }]) => ({ name, shape }));
  const layout = { words: words.length, layout: layoutDigest(tensors, masking) };
  const context = twoServerContext(contextOf(identity, task, masking, layout));
  const seed = parts.entropy(SEED_BYTES);
  await addMask(words, maskKeyOf(seed, context), 1);
  const submission = { owner, update: digestOf(parts.hasher ?? portableHasher, bytes) };
  const sealed = await sealSeed(helper, context, submission, seed, parts.entropy(SEED_BYTES));
  const signature = await signer.sign(signedBytes(context, submission, sealed));
  const envelope = { sealed: toBase64url(sealed), signature: toBase64url(signature) };
  return { update: bytes, masked: { attempt: masking.attempt, weight: masking.weight, envelope } };
}

function helperOf({ mode, helper }: AgreedMasking): Uint8Array {
  const key = helper === undefined ? undefined : fromBase64url(helper.key);
  if (mode === 'two-server' && key?.byteLength === SEED_BYTES) return key;
  throw new HeadwaterError('JOIN_REFUSED', `the run masks updates in a way that this version does not know`, {
    hint: 'Install the version of Headwater that the operator uses.',
  });
}

function contextOf(
  { manifest, operatorKey }: MaskingIdentity,
  { round, base }: TrainTask,
  { attempt }: Masking,
  layout: Pick<TwoServerContext, 'words' | 'layout'>,
): TwoServerContext {
  const { helper, groupSize } = termsOf(manifest).secureAggregation!;
  return {
    ...{ run: manifest.run, round, attempt, base, ...layout },
    operator: toBase64url(operatorKey),
    helper: helper!.key,
    minUpdates: manifest.minCohort,
    groupSize: groupSize ?? null,
  };
}
