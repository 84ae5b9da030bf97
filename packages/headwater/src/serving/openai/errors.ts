/** Errors in OpenAI's JSON form: what its clients turn into exceptions. */

import { HeadwaterError } from '../../base/errors.ts';
import { ContextError } from '../messages.ts';

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** A request that is answered with an error. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly param: string | null;
  readonly code: string | null;

  constructor(status: number, message: string, param: string | null = null, code: string | null = null) {
    super(message);
    this.status = status;
    this.param = param;
    this.code = code;
  }
}

const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
  500: 'server_error',
  503: 'server_error',
};

export function errorBody({ status, message, param, code }: ApiError): ErrorBody {
  return { error: { message, type: TYPES[status] ?? 'invalid_request_error', param, code } };
}

/** What a request can be blamed for by these codes; everything else is ours. */
const BLAMED = new Set(['OPTION_INVALID', 'DATA_INVALID', 'TOKENIZER_INVALID', 'ADAPTER_INVALID']);

/** Anything that was thrown, as an answer. Fastify's own errors carry a status. */
export function apiError(cause: unknown): ApiError {
  if (cause instanceof ApiError) return cause;
  if (cause instanceof HeadwaterError) {
    const message = cause.hint === undefined ? cause.message : `${cause.message}. ${cause.hint}`;
    const isBlamed = BLAMED.has(cause.code) || cause.code === 'SAFETENSORS_INVALID';
    if (cause instanceof ContextError) return new ApiError(400, message, null, 'context_length_exceeded');
    return new ApiError(isBlamed ? 400 : 500, message, null, isBlamed ? null : cause.code);
  }
  const status = (cause as { statusCode?: unknown } | null)?.statusCode;
  if (typeof status === 'number' && status >= 400 && status < 500)
    return new ApiError(status, (cause as Error).message);
  return new ApiError(500, 'the server failed; its log says more');
}
