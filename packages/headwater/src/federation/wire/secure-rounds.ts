/**
 * The conversation of SecAgg+ on the wire: a client says something, or nothing, and is told what comes next. Shapes and sizes are
 * checked here; what it means is in `privacy/secure-aggregation/secagg-plus`.
 */

import { z } from 'zod';
import { MAX_SECURE_COHORT } from '../masking/secure-aggregation.ts';
import { name, publicKey, signature } from './messages.ts';

const base64url = (bytes: number) =>
  z.string().regex(new RegExp(`^[A-Za-z0-9_-]{${Math.ceil((bytes * 4) / 3)}}$`));
const sealedShares = base64url(94);
const share = base64url(33);
const members = z.array(name).max(MAX_SECURE_COHORT);
const listOf = <T extends z.ZodType>(item: T) => z.array(item).max(MAX_SECURE_COHORT);
const number = z.int().positive();

const advert = z.strictObject({ owner: name, channelKey: publicKey, maskKey: publicKey, signature });
const confirmation = z.strictObject({ owner: name, signature });
const owned = z.strictObject({ of: name, share });

export const secureAttempt = z.strictObject({
  run: name,
  round: number,
  /** Of the round; each has fresh keys. */
  attempt: number,
  /** Words of the vector. */
  length: number,
  /** SHA-256 of what the words mean. */
  layout: z.string().regex(/^[0-9a-f]{64}$/),
  minOwners: number,
  groupSize: number.exactOptional(),
  assumed: z.strictObject({ adversaries: z.number().min(0).max(1), dropouts: z.number().min(0).max(1) }),
  roster: listOf(z.strictObject({ owner: name, identity: publicKey })),
});

const said = z.discriminatedUnion('step', [
  z.strictObject({ step: z.literal('advertise'), message: advert }),
  z.strictObject({
    step: z.literal('share'),
    message: z.strictObject({
      commitment: base64url(32),
      sealed: listOf(z.strictObject({ to: name, share: sealedShares })),
    }),
  }),
  z.strictObject({ step: z.literal('confirm'), message: confirmation }),
  z.strictObject({
    step: z.literal('unmask'),
    message: z.strictObject({ seeds: listOf(owned), keys: listOf(owned) }),
  }),
  /** The client leaves the attempt: a check failed. */
  z.strictObject({ step: z.literal('leave'), message: z.strictObject({ reason: z.string().max(2000) }) }),
]);

export const secureRoundRequest = z.strictObject({
  round: number,
  /** Of what is said; null: nothing is. */
  said: z.strictObject({ attempt: number, what: said }).nullable(),
  /** Seconds that the answer may take while there is nothing to tell. */
  wait: z.number().min(0).max(60),
});

const told = z.discriminatedUnion('step', [
  /** Signed by the operator. */
  z.strictObject({ step: z.literal('advertise'), attempt: secureAttempt, signature }),
  z.strictObject({ step: z.literal('share'), adverts: listOf(advert) }),
  z.strictObject({
    step: z.literal('mask'),
    members,
    sealed: listOf(z.strictObject({ from: name, share: sealedShares })),
  }),
  z.strictObject({ step: z.literal('confirm'), survivors: members, dropped: members }),
  z.strictObject({ step: z.literal('unmask'), confirmations: listOf(confirmation) }),
]);

export const secureRoundAnswer = z.strictObject({
  attempt: number,
  /** Null: nothing yet, ask again. */
  told: told.nullable(),
  /** Nothing more is expected of this client in this round, unless a task asks again. */
  over: z.boolean(),
});

export type SecureRoundRequest = z.infer<typeof secureRoundRequest>;
export type SecureSaid = z.infer<typeof said>;
export type SecureTold = z.infer<typeof told>;
export type SecureRoundAnswer = z.infer<typeof secureRoundAnswer>;
