/**
 * Requests over HTTP by undici: connections are kept, answers stream. Plain HTTP goes to this machine only, unless it is
 * allowed. What is wrong for good (a certificate, the protocol) is told apart from what may pass.
 */

import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { Agent, type Dispatcher, EnvHttpProxyAgent, request } from 'undici';
import { HeadwaterError, messageOf } from '../base/errors.ts';
import { storageError, systemErrorCode } from '../base/io-errors.ts';
import { LIMITS } from '../federation/wire/messages.ts';
import type { Transport } from '../federation/wire/transport.ts';

export interface HttpOptions {
  /** Address of the coordinator, without a fragment. */
  readonly url: string;
  /** PEM file with the authorities to trust instead of the system's. */
  readonly caFile?: string | undefined;
  /** Plain HTTP to other machines. */
  readonly insecure?: boolean | undefined;
}

export interface HttpTransport {
  readonly send: Transport;
  close(): Promise<void>;
}

/** An answer may begin late: a long poll waits on the other side. */
const HEADERS_TIMEOUT_MS = (LIMITS.maxWaitSeconds + 30) * 1000;
/** Between two pieces of a body. */
const BODY_TIMEOUT_MS = 60_000;
const CONNECT_TIMEOUT_MS = 15_000;

/** Throws OPTION_INVALID (plain HTTP to another machine, no authority file). */
export function httpTransport({ url, caFile, insecure = false }: HttpOptions): HttpTransport {
  const base = new URL(url);
  const local = isLoopback(base.hostname);
  if (base.protocol === 'http:' && !local && !insecure)
    throw new HeadwaterError('OPTION_INVALID', `${base.origin} is not encrypted`, {
      hint: 'Use the https address, or allow plain HTTP with --insecure: then everybody between here and there can read the updates.',
    });
  const dispatcher = dispatcherOf(local, caFile);
  return {
    close: () => dispatcher.close(),
    async send({ method, path, headers, body }, signal) {
      try {
        const answer = await request(`${base.origin}${prefix(base)}${path}`, {
          dispatcher,
          method,
          headers,
          ...(body === undefined ? {} : { body }),
          ...(signal === undefined ? {} : { signal }),
        });
        return { status: answer.statusCode, headers: flat(answer.headers), body: leavingOne(answer.body) };
      } catch (cause) {
        throw certificateError(cause, base.origin) ?? new Error(reasonOf(cause, base.origin), { cause });
      }
    },
  };
}

/** Undici takes a connection back a turn after its answer ended; whoever asks again before that opens another one. */
async function* leavingOne(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* body;
  await setImmediate();
}

/** A coordinator may live under a path of a proxy. */
function prefix(base: URL): string {
  return base.pathname.replace(/\/+$/, '');
}

function dispatcherOf(local: boolean, caFile: string | undefined): Dispatcher {
  const tls = caFile === undefined ? {} : { ca: readAuthority(caFile) };
  const options = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    bodyTimeout: BODY_TIMEOUT_MS,
    connect: { timeout: CONNECT_TIMEOUT_MS, ...tls },
  };
  // Hospitals are behind proxies; this machine is not.
  return local ? new Agent(options) : new EnvHttpProxyAgent({ ...options, requestTls: tls });
}

function readAuthority(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw storageError(cause, 'read the certificate of the authority', file, 'OPTION_INVALID');
  }
}

export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}

function flat(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const entries = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, [value].flat().join(', ')]],
  );
  return Object.fromEntries(entries);
}

/** Trying again would show the same certificate. */
function certificateError(cause: unknown, origin: string): HeadwaterError | undefined {
  const code = systemErrorCode(cause);
  const isTls =
    /^(ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_SELF|SELF_SIGNED|UNABLE_TO_)/.test(code) || code === 'EPROTO';
  if (!isTls) return undefined;
  return new HeadwaterError('CONNECTION_FAILED', `no safe connection: ${messageOf(cause)}`, {
    where: origin,
    hint: 'Give the certificate of the coordinator’s authority with --ca FILE (the operator has it), and check the address.',
    cause,
  });
}

function reasonOf(cause: unknown, origin: string): string {
  const reasons: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'nobody answers',
    ENOTFOUND: 'the name is not known',
    EAI_AGAIN: 'names cannot be looked up at present',
    ECONNRESET: 'the connection was cut',
    UND_ERR_SOCKET: 'the connection was cut',
    UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
    UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  };
  return `${origin}: ${reasons[systemErrorCode(cause)] ?? messageOf(cause)}`;
}
