/**
 * What a coordinator asks of a helper: the sum of the masks of a round. JSON there, words back. Big data does not travel: the helper
 * never sees a masked update, only its digest.
 */

import { utf8ToBytes } from '@noble/hashes/utils.js';
import { z } from 'zod';
import { canonicalJson, digestBytes } from '../../base/canonical.ts';
import { digest, name, publicKey, signature } from './messages.ts';

const count = z.int().positive().max(1e12);

/** See `TwoServerContext`. */
const context = z.strictObject({
  run: name,
  round: count,
  attempt: count,
  operator: publicKey,
  helper: publicKey,
  minUpdates: count,
  groupSize: count.nullable(),
  base: digest,
  words: z
    .int()
    .positive()
    .max(2 ** 34),
  layout: digest,
});

const member = z.strictObject({
  owner: name,
  /** That the owner joined with. */
  publicKey,
  /** Digest of the masked update. */
  update: digest,
  sealed: z.string().max(200),
  signature,
});

export const unmaskOrder = z.strictObject({
  context,
  /** Sorted by owner. */
  members: z.array(member).min(1).max(100_000),
});

/** `text`: canonical JSON of the order, signed by the operator. */
export const unmaskRequest = z.strictObject({ text: z.string(), signature });

/** Why a helper does not open a sum. */
export const HELPER_REFUSALS = {
  malformed: 'The request is no order of this version.',
  'not-signed': 'The operator’s signature does not fit.',
  'other-helper': 'The round names another helper.',
  'too-few': 'There are fewer updates than a sum must have.',
  'twice-there': 'An owner or a key comes twice.',
  'bad-members': 'Seeds of some members cannot be opened, or are not theirs.',
  'other-set': 'The sum of other updates of this round was opened before.',
} as const;

export type HelperRefusalCode = keyof typeof HELPER_REFUSALS;

export const helperRefusal = z.strictObject({
  error: z.strictObject({
    code: z.enum(Object.keys(HELPER_REFUSALS) as [HelperRefusalCode]),
    message: z.string().max(10_000),
    /** With `bad-members`: whose. */
    owners: z.array(name).max(100_000).exactOptional(),
  }),
});

export type UnmaskOrderMessage = z.infer<typeof unmaskOrder>;
export type UnmaskRequest = z.infer<typeof unmaskRequest>;
export type HelperRefusalBody = z.infer<typeof helperRefusal>;

/** With the sums: what their groups were drawn by, 32 bytes in hex. */
export const DRAW_HEADER = 'headwater-draw';

/** Names whom a sum is of. */
export function setDigest({ context, members }: UnmaskOrderMessage): string {
  return digestBytes(utf8ToBytes(canonicalJson({ context, members })));
}
