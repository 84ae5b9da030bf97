/**
 * What a coordinator may answer instead of what was asked for: one table of codes with their HTTP status. A refusal with
 * `retryAfterMs` is worth another try, one without is not. Why an update does not count is in its receipt, not here.
 */

import type { WireErrorBody } from './messages.ts';

export const WIRE_ERRORS = {
  'request-invalid': 400,
  unauthenticated: 401,
  /** The time in the signature is too far off; `serverTimeMs` says by how much. Sign again. */
  'clock-skew': 401,
  /** The nonce was used before. Sign again. */
  replayed: 401,
  'token-refused': 403,
  revoked: 403,
  'not-found': 404,
  'run-unknown': 404,
  'blob-unknown': 404,
  /** Nothing was opened under this digest, or it was given up: open it again. */
  'upload-unknown': 404,
  'method-not-allowed': 405,
  /** The upload is not wanted (any more); ask for the task again. */
  'upload-refused': 409,
  'too-slow': 408,
  'too-large': 413,
  'encoding-refused': 415,
  'range-refused': 416,
  /** The bytes are not what was announced: send them again. */
  'upload-invalid': 422,
  'rate-limited': 429,
  internal: 500,
  /** This process does not lead the run, is stopping, or just began. */
  unavailable: 503,
  /** No space left, or the storage failed. */
  storage: 507,
} as const;

export type WireErrorCode = keyof typeof WIRE_ERRORS;

export interface RefusalOptions {
  readonly hint?: string;
  readonly retryAfterMs?: number;
  readonly serverTimeMs?: number;
}

/** Thrown inside a coordinator, answered as a `wireError`. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: WireErrorCode;
  readonly options: RefusalOptions;

  constructor(code: WireErrorCode, message: string, options: RefusalOptions = {}) {
    super(message);
    this.code = code;
    this.options = options;
  }

  get status(): number {
    return WIRE_ERRORS[this.code];
  }

  body(): WireErrorBody {
    return { error: { code: this.code, message: this.message.slice(0, 10_000), ...this.options } };
  }
}
