/** Requests to the operator's API of this very origin. The session cookie goes along by itself; no token is kept here. */

export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** 0: nobody answered. */
  readonly status: number;
  readonly code: string;
  readonly hint: string | undefined;

  constructor(status: number, code: string, message: string, hint?: string) {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
  }
}

/** What is called when the session has ended: the page asks to sign in again. */
let onSignedOut: () => void = () => undefined;

export function whenSignedOut(act: () => void): void {
  onSignedOut = act;
}

export const get = <T>(path: string, signal?: AbortSignal) => call<T>('GET', path, undefined, signal);
export const post = <T>(path: string, body?: object) => call<T>('POST', path, body ?? {});
export const remove = <T>(path: string) => call<T>('DELETE', path);

/** Throws ApiError. `path`: behind `/admin`. */
async function call<T>(
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: object,
  signal?: AbortSignal,
): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(`/admin${path}`, {
      method,
      credentials: 'same-origin',
      ...(signal === undefined ? {} : { signal }),
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
  } catch (cause) {
    if (signal?.aborted === true) throw cause;
    const hint = 'It may have been stopped, or the connection to it is lost. What is shown may be old.';
    throw new ApiError(0, 'CONNECTION_FAILED', 'Nobody answers at this address.', hint);
  }
  const value = (await answer.json().catch(() => undefined)) as unknown;
  if (answer.ok) return value as T;
  throw refused(answer.status, path, value);
}

function refused(status: number, path: string, value: unknown): ApiError {
  const { error } = (value ?? {}) as { error?: { code?: string; message?: string; hint?: string } };
  if (status === 401 && path !== '/session') onSignedOut();
  return new ApiError(
    status,
    error?.code ?? 'REQUEST_REFUSED',
    error?.message ?? `The answer was status ${status}, which these pages do not understand.`,
    error?.hint,
  );
}
