/**
 * How a request gets from a client to a coordinator: real HTTP, or the network of the fault simulation. Bodies that are
 * large go in chunks, so a request's body is bytes; an answer's body may be long and is a stream.
 */

export interface WireRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With query: `/v1/runs/demo/task?wait=20`. */
  readonly path: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

export interface WireResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Rejects when no answer came (refused, reset, timed out): the request may or may not have been carried out. */
export type Transport = (request: WireRequest, signal?: AbortSignal) => Promise<WireResponse>;
