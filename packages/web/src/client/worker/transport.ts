/** Requests of the protocol by `fetch`, to the coordinator that served the page. */

import type { ClientParts, CompressedChunk } from '@headwater/client/ports.ts';
import { LIMITS } from '@headwater/federation/wire/messages.ts';
import type { Transport } from '@headwater/federation/wire/transport.ts';

/** An answer may begin late: a long poll waits on the other side. */
const HEADERS_TIMEOUT_MS = (LIMITS.maxWaitSeconds + 30) * 1000;
/** Between two pieces of a body. */
const BODY_TIMEOUT_MS = 60_000;

/** `base`: address without a slash at the end. */
export function fetchTransport(base: string): Transport {
  return async ({ method, path, headers, body }, signal) => {
    const watch = watchdog(signal);
    try {
      const response = await watch.within(HEADERS_TIMEOUT_MS, () =>
        fetch(base + path, {
          ...{ method, headers, signal: watch.signal, cache: 'no-store', credentials: 'omit' },
          ...{ redirect: 'error', referrerPolicy: 'no-referrer' },
          ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
        }),
      );
      const { status } = response;
      return { status, headers: Object.fromEntries(response.headers), body: pieces(response, watch) };
    } catch (cause) {
      throw reasonOf(cause, base);
    }
  };
}

interface Watchdog {
  readonly signal: AbortSignal;
  within<T>(limitMs: number, act: () => Promise<T>): Promise<T>;
}

function watchdog(stop: AbortSignal | undefined): Watchdog {
  const late = new AbortController();
  const signal = stop === undefined ? late.signal : AbortSignal.any([stop, late.signal]);
  return {
    signal,
    async within(limitMs, act) {
      const timer = setTimeout(() => late.abort(new Error('no answer in time')), limitMs);
      try {
        return await act();
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

async function* pieces(response: Response, watch: Watchdog): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { value, done } = await watch.within(BODY_TIMEOUT_MS, () => reader.read());
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** Browsers do not tell pages why there was no connection. */
function reasonOf(cause: unknown, base: string): unknown {
  return cause instanceof TypeError ? new Error(`${base}: nobody answers`, { cause }) : cause;
}

const SAMPLE_BYTES = 256 * 1024;
/** Less than this saved is not worth the receiver's time. */
const WORTH_IT = 0.9;
/** What shrinks more (zeros, mostly) looks like a bomb to the receiver and goes as it is. */
const MAX_RATIO = 100;

/** As in Node, with what browsers have. */
export const gzipChunk: NonNullable<ClientParts['compress']> = async (chunk) => {
  if (chunk.byteLength > 2 * SAMPLE_BYTES) {
    const middle = Math.floor((chunk.byteLength - SAMPLE_BYTES) / 2);
    const sample = await gzipped(chunk.subarray(middle, middle + SAMPLE_BYTES));
    if (sample.byteLength > WORTH_IT * SAMPLE_BYTES) return undefined;
  }
  const bytes = await gzipped(chunk);
  const ratio = chunk.byteLength / bytes.byteLength;
  const smaller: CompressedChunk = { encoding: 'gzip', bytes };
  return ratio < 1 / WORTH_IT || ratio > MAX_RATIO ? undefined : smaller;
};

async function gzipped(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream();
  const packed = stream.pipeThrough(new CompressionStream('gzip'));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}
