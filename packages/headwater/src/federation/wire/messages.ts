/**
 * The messages between clients and a coordinator: zod schemas, from which the OpenAPI document is made. Everything from
 * outside goes through them; unknown keys are refused. Big data travels as blobs, here only by digest.
 */

import { z } from 'zod';
import { REJECTIONS } from '../events.ts';

/** Grows with every change that an older client or coordinator would misread. */
export const PROTOCOL_VERSION = 1;

export const LIMITS = {
  jsonBytes: 256 * 1024,
  chunkBytes: 8 * 1024 * 1024,
  /** Longest wait of a long poll. */
  maxWaitSeconds: 60,
  /** How far a request's time may be off. */
  clockSkewSeconds: 60,
} as const;

export const digest = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in lower-case hex');
/** Of runs and owners: file names, log lines and URLs may hold them. */
export const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, 'lower-case letters, digits, dots, dashes; at most 63')
  .refine((text) => !text.includes('..') && !text.endsWith('.'), 'no two dots in a row, none at the end');
const base64url = (bytes: number) =>
  z
    .string()
    .regex(new RegExp(`^[A-Za-z0-9_-]{${Math.ceil((bytes * 4) / 3)}}$`), `${bytes} bytes in base64url`);
const count = z.int().min(0).max(1e12);
const shortText = z.string().max(2000);

export const publicKey = base64url(32);
export const signature = base64url(64);

export const joinRequest = z.strictObject({
  /** The secret part of the join token. */
  token: z.string().min(20).max(200),
  publicKey,
  software: z.string().max(100),
});

/** What an owner agrees to: signed by the operator, checked against the owner's policy. */
export const manifest = z.strictObject({
  protocol: z.literal(PROTOCOL_VERSION),
  run: name,
  seed: z.int().nonnegative(),
  /** The recipe as resolved, without files and places of the operator. Checked by the recipe's own schema. */
  recipe: z.record(z.string(), z.unknown()),
  model: z.strictObject({
    source: z.string().max(1000),
    /** `Model.digest()` of the checkpoint. */
    digest,
    files: z.array(z.strictObject({ path: z.string().max(200), bytes: count, digest })).max(10_000),
  }),
  /** Fewest updates that are averaged into anything that leaves the coordinator. */
  minCohort: z.int().positive(),
  /** Figures that owners are asked for. */
  metrics: z.array(z.string().max(100)).max(1000),
  /** Privacy mechanisms that are switched on, by name. */
  privacy: z.array(z.string().max(100)).max(100),
});

export const signedManifest = z.strictObject({
  /** Canonical JSON of the manifest: the signed bytes. */
  text: z.string().max(LIMITS.jsonBytes),
  operatorKey: publicKey,
  signature,
});

export const joinResponse = z.strictObject({
  clientId: z.string().max(100),
  owner: name,
  run: name,
  manifest: signedManifest,
  serverTimeMs: z.number(),
});

/** For looking before joining; uses nothing of the token up. */
export const peekRequest = z.strictObject({ token: z.string().min(20).max(200) });

export const peekResponse = z.strictObject({
  run: name,
  /** Null: the token is not bound to a name. */
  owner: name.nullable(),
  manifest: signedManifest,
});

export const enrolment = z.strictObject({
  numExamples: z.int().positive().max(1e9),
  numTokens: z.int().positive().max(1e12),
  heldOut: z.strictObject({ validation: count, test: count }),
  /** The client kept nothing from earlier rounds although it took part in them. */
  lostState: z.boolean(),
});

export const runStatus = z.enum(['waiting', 'running', 'paused', 'finished', 'failed', 'cancelled']);

export const enrolmentResponse = z.strictObject({
  standing: z.enum(['waiting', 'active', 'quarantined', 'left']),
  status: runStatus,
});

const blobRef = z.strictObject({ digest, bytes: count });

export const task = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('train'),
    id: shortText,
    round: z.int().positive(),
    /** What this owner is sent of the round's params. */
    params: blobRef,
    /** What it has of them without being sent it: it makes these bytes itself, or fetches them. Null: nothing. */
    rest: blobRef.nullable(),
    /** Names the round's params: what the update was trained from. */
    base: digest,
    steps: count,
    stepOffset: count,
    totalSteps: count,
    /** The update is scaled down to this 2-norm, all its tensors together; absent: it is sent as it is. */
    clipNorm: z.number().positive().exactOptional(),
    /** How the update is masked before it is sent; absent: it is sent as it is. */
    masking: z
      .strictObject({
        /** Of the round, from 1. */
        attempt: z.int().positive(),
        /** The update's integers are multiplied by it. */
        weight: z.int().positive(),
        /** Integers are multiples of 2^−fractionBits within ±range. */
        fractionBits: z.int().min(0).max(40),
        range: z.number().positive(),
      })
      .exactOptional(),
    /** Milliseconds left until the deadline; null: none. */
    remainingMs: z.number().nullable(),
    maxUploadBytes: count,
  }),
  z.strictObject({
    kind: z.literal('evaluate'),
    id: shortText,
    evaluation: shortText,
    split: z.enum(['validation', 'test']),
    params: blobRef,
  }),
]);

export const taskResponse = z.strictObject({
  status: runStatus,
  /** Null: nothing at present; ask again (the wait is the server's). */
  task: task.nullable(),
  /** Where the run stands. */
  round: count,
  rounds: count,
  /** Why a run that is over is over. */
  reason: shortText.nullable(),
  /** The result, once published. */
  result: blobRef.nullable(),
  retryAfterMs: count,
});

export const uploadRequest = z.strictObject({
  digest,
  bytes: z.int().positive().max(1e12),
  taskId: shortText,
});

export const uploadResponse = z.strictObject({
  chunkBytes: z.int().positive(),
  /** Indices that need not be sent. */
  have: z.array(z.int().nonnegative()),
});

const finite = z.number().nullable();

export const trainingStats = z.strictObject({
  steps: count,
  numExamples: count,
  numTokens: count,
  numTargets: count,
  meanLoss: finite,
  lastLoss: finite,
  figures: z
    .record(z.string().regex(/^[a-zA-Z]{1,40}$/), z.number())
    .refine((figures) => Object.keys(figures).length <= 16, 'at most 16 figures')
    .exactOptional(),
});

/** What comes with a masked update. */
export const maskedFacts = z.strictObject({
  attempt: z.int().positive(),
  weight: z.int().positive(),
  /** The seed of the mask, sealed for the helper (HPKE), and the client's signature on it. */
  envelope: z.strictObject({ sealed: base64url(80), signature }).exactOptional(),
});

export const updateRequest = z.strictObject({
  round: z.int().positive(),
  /** Digest of the params it was trained from. */
  base: digest,
  baseModel: digest,
  update: blobRef,
  stats: trainingStats,
  masked: maskedFacts.exactOptional(),
});

export const receipt = z.strictObject({
  run: name,
  round: z.int().positive(),
  owner: name,
  update: digest,
  accepted: z.boolean(),
  code: z.enum(Object.keys(REJECTIONS) as [keyof typeof REJECTIONS]).nullable(),
  reason: z.string().max(10_000).nullable(),
});

export const evaluationRequest = z.strictObject({
  evaluation: shortText,
  params: digest,
  result: z.strictObject({
    numExamples: count,
    numTargets: count,
    scores: z.record(z.string().max(100), finite),
  }),
});

export const failureRequest = z.strictObject({ round: z.int().positive(), reason: shortText });
export const accepted = z.strictObject({ accepted: z.boolean() });

/** RFC 9162 over SHA-256; hashes in lower-case hex. */
const proof = z.array(digest).max(128);

export const signedHead = z.strictObject({ size: count, root: digest, signature });

export const logAnswer = z.strictObject({
  head: signedHead,
  /** Consistency proof from the size that was asked for; empty when the log is shorter. */
  consistency: proof,
  /** What was asked for; null: nothing was, or it is not in the log. */
  entry: z
    .strictObject({
      /** Canonical JSON of the entry: the hashed bytes. */
      text: z.string().max(20_000),
      /** From 0. */
      index: count,
      path: proof,
    })
    .nullable(),
});

/** What goes wrong between the two; `hint` says what to do. */
export const wireError = z.strictObject({
  error: z.strictObject({
    code: z.string().max(100),
    message: z.string().max(10_000),
    hint: z.string().max(2000).optional(),
    /** Try again after so long; absent: trying again is useless. */
    retryAfterMs: count.optional(),
    /** With `clock-skew`: the coordinator's time. */
    serverTimeMs: z.number().optional(),
  }),
});

export type MaskedFactsMessage = z.infer<typeof maskedFacts>;
export type Manifest = z.infer<typeof manifest>;
export type SignedManifest = z.infer<typeof signedManifest>;
export type JoinRequest = z.infer<typeof joinRequest>;
export type JoinResponse = z.infer<typeof joinResponse>;
export type PeekResponse = z.infer<typeof peekResponse>;
export type Enrolment = z.infer<typeof enrolment>;
export type EnrolmentResponse = z.infer<typeof enrolmentResponse>;
export type WireTask = z.infer<typeof task>;
export type TaskResponse = z.infer<typeof taskResponse>;
export type UploadRequest = z.infer<typeof uploadRequest>;
export type UploadResponse = z.infer<typeof uploadResponse>;
export type UpdateRequest = z.infer<typeof updateRequest>;
export type WireReceipt = z.infer<typeof receipt>;
export type LogAnswer = z.infer<typeof logAnswer>;
export type EvaluationRequest = z.infer<typeof evaluationRequest>;
export type WireErrorBody = z.infer<typeof wireError>;
