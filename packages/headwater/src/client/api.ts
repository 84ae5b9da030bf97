/**
 * The client API as the published document describes it, by operation. The document is made from the schemas that answers
 * are checked with; should the two ever disagree, an answer has no type and its users do not compile.
 */

import type { z } from 'zod';
import type { RouteId, routes } from '../federation/wire/routes.ts';
import type * as api from './api-types.ts';

interface Operations {
  readonly join: { readonly sent: api.JoinPayload; readonly answer: api.JoinData };
  readonly peek: { readonly sent: api.PeekPayload; readonly answer: api.PeekData };
  readonly peekFile: { readonly sent: api.PeekFilePayload };
  readonly manifest: { readonly answer: api.ManifestData };
  readonly enrol: { readonly sent: api.EnrolPayload; readonly answer: api.EnrolData };
  readonly task: { readonly answer: api.TaskData };
  readonly openUpload: { readonly sent: api.OpenUploadPayload; readonly answer: api.OpenUploadData };
  readonly putChunk: { readonly answer: api.PutChunkData };
  readonly submitUpdate: { readonly sent: api.SubmitUpdatePayload; readonly answer: api.SubmitUpdateData };
  readonly secureRound: { readonly sent: api.SecureRoundPayload; readonly answer: api.SecureRoundData };
  readonly submitEvaluation: {
    readonly sent: api.SubmitEvaluationPayload;
    readonly answer: api.SubmitEvaluationData;
  };
  readonly reportFailure: { readonly sent: api.ReportFailurePayload; readonly answer: api.ReportFailureData };
  readonly leave: { readonly answer: api.LeaveData };
  readonly log: { readonly answer: api.LogData };
}

/** A body that is not JSON: `sent` may be a compressed form of the bytes whose SHA-256 is `digest`. */
export interface BytesBody {
  readonly sent: Uint8Array;
  readonly digest: string;
  readonly encoding: 'gzip' | 'zstd' | undefined;
}

/** Routes whose answer is JSON. */
export type JsonRoute = {
  [R in RouteId]: (typeof routes)[R]['response'] extends z.ZodType ? R : never;
}[RouteId];

type Checked<R extends JsonRoute> = z.output<Extract<(typeof routes)[R]['response'], z.ZodType>>;

export type AnswerOf<R extends JsonRoute> = Operations[R] extends { readonly answer: infer A }
  ? Checked<R> extends A
    ? A
    : never
  : never;

export type BodyOf<R extends RouteId> = (typeof routes)[R] extends { readonly body: 'bytes' }
  ? { readonly body: BytesBody }
  : R extends keyof Operations
    ? Operations[R] extends { readonly sent: infer S }
      ? { readonly body: S }
      : { readonly body?: undefined }
    : { readonly body?: undefined };
