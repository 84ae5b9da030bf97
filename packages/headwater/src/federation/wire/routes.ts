/**
 * The client API as data: one entry a route. The coordinator puts a handler behind each, the client calls them by id, the
 * OpenAPI document is made from them. `bytes` bodies are not JSON: a chunk of an upload, a blob.
 */

import { z } from 'zod';
import * as m from './messages.ts';
import { secureRoundAnswer, secureRoundRequest } from './secure-rounds.ts';

export interface RouteShape {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** With `:parameters`. */
  readonly path: string;
  readonly summary: string;
  /** `key`: signed by the key in the body; `client`: by a client that joined. */
  readonly auth: 'none' | 'key' | 'client';
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType | 'bytes';
  readonly response: z.ZodType | 'bytes';
}

const inRun = z.strictObject({ run: m.name });

export const routes = {
  join: {
    method: 'POST',
    path: '/v1/join',
    summary:
      'Redeem a join token with a fresh key. The same token with the same key gives the same answer again.',
    auth: 'key',
    body: m.joinRequest,
    response: m.joinResponse,
  },
  peek: {
    method: 'POST',
    path: '/v1/peek',
    summary: 'What a join token would let in to. Limited like joining; uses nothing up.',
    auth: 'none',
    body: m.peekRequest,
    response: m.peekResponse,
  },
  peekFile: {
    method: 'POST',
    path: '/v1/peek/files/:digest',
    summary: 'A file of the base model for whoever holds a join token: to show how data would be tokenized.',
    auth: 'none',
    params: z.strictObject({ digest: m.digest }),
    body: m.peekRequest,
    response: 'bytes',
  },
  manifest: {
    method: 'GET',
    path: '/v1/runs/:run/manifest',
    summary: 'What the run does, signed by the operator.',
    auth: 'client',
    params: inRun,
    response: m.signedManifest,
  },
  enrol: {
    method: 'POST',
    path: '/v1/runs/:run/enrolment',
    summary:
      'Say how much data there is and be ready to be asked. Repeated after each restart of the client.',
    auth: 'client',
    params: inRun,
    body: m.enrolment,
    response: m.enrolmentResponse,
  },
  task: {
    method: 'GET',
    path: '/v1/runs/:run/task',
    summary: 'What to do now; waits up to `wait` seconds for something to do.',
    auth: 'client',
    params: inRun,
    query: z.strictObject({ wait: z.coerce.number().min(0).max(m.LIMITS.maxWaitSeconds).default(0) }),
    response: m.taskResponse,
  },
  blob: {
    method: 'GET',
    path: '/v1/runs/:run/blobs/:digest',
    summary: 'Params, the result, or a file of the base model. ETag, Range, immutable.',
    auth: 'client',
    params: inRun.extend({ digest: m.digest }),
    response: 'bytes',
  },
  openUpload: {
    method: 'POST',
    path: '/v1/runs/:run/uploads',
    summary: 'Begin or continue an upload; says which chunks are there.',
    auth: 'client',
    params: inRun,
    body: m.uploadRequest,
    response: m.uploadResponse,
  },
  putChunk: {
    method: 'PUT',
    path: '/v1/runs/:run/uploads/:digest/chunks/:index',
    summary:
      'One chunk, with Content-Digest (of the identity bytes) and optionally Content-Encoding gzip or zstd.',
    auth: 'client',
    params: inRun.extend({ digest: m.digest, index: z.coerce.number().int().min(0).max(1e6) }),
    body: 'bytes',
    response: m.accepted,
  },
  submitUpdate: {
    method: 'POST',
    path: '/v1/runs/:run/updates',
    summary: 'Hand in a completely uploaded update; the receipt says whether it counts.',
    auth: 'client',
    params: inRun,
    body: m.updateRequest,
    response: m.receipt,
  },
  secureRound: {
    method: 'POST',
    path: '/v1/runs/:run/secure-round',
    summary:
      'Rounds whose owners open the masks together (SecAgg+): says what the step before asked for, and is told the next one.',
    auth: 'client',
    params: inRun,
    body: secureRoundRequest,
    response: secureRoundAnswer,
  },
  submitEvaluation: {
    method: 'POST',
    path: '/v1/runs/:run/evaluations',
    summary: 'Scores on the owner’s own held-out examples.',
    auth: 'client',
    params: inRun,
    body: m.evaluationRequest,
    response: m.accepted,
  },
  reportFailure: {
    method: 'POST',
    path: '/v1/runs/:run/failures',
    summary: 'The client cannot do its training task.',
    auth: 'client',
    params: inRun,
    body: m.failureRequest,
    response: m.accepted,
  },
  leave: {
    method: 'POST',
    path: '/v1/runs/:run/leave',
    summary: 'Withdraw from the run.',
    auth: 'client',
    params: inRun,
    response: m.accepted,
  },
  log: {
    method: 'GET',
    path: '/v1/runs/:run/log',
    summary:
      'Signed head of the transparency log, with the proof that it extends the list of `since` entries, and the proof that an update of this client or released params are in it.',
    auth: 'client',
    params: inRun,
    query: z.strictObject({
      since: z.coerce.number().int().min(0).max(1e12).default(0),
      update: m.digest.optional(),
      params: m.digest.optional(),
    }),
    response: m.logAnswer,
  },
} as const satisfies Record<string, RouteShape>;

export type RouteId = keyof typeof routes;
