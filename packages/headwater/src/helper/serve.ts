/**
 * The helper as a process: HTTP in front, one SQLite file behind. `GET /v1/key` tells its public key, `POST /v1/unmask` opens a sum.
 * What it is asked is decided in `core.ts`.
 */

import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import {
  createServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { toBase64url } from '../base/base64url.ts';
import { ed25519Verify } from '../base/ed25519-node.ts';
import { HeadwaterError, messageOf } from '../base/errors.ts';
import { hostInUrl, isLoopback } from '../base/hosts.ts';
import { storageError } from '../base/io-errors.ts';
import { makeFolder } from '../base/make-folder-node.ts';
import { HELPER_REFUSALS, unmaskRequest } from '../federation/wire/helper.ts';
import { openSqliteStore } from '../storage/sqlite-store.ts';
import { createHelper, type Helper, type HelperAnswer } from './core.ts';
import { openHelperKey } from './open-key.ts';

export interface ServeHelperOptions {
  /** Folder of the key and of what was opened. */
  readonly store: string;
  readonly host: string;
  readonly port: number;
  /** PEM files; both or none. */
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  /** Plain HTTP on other addresses than those of this machine. */
  readonly insecure: boolean;
  readonly minUpdates: number;
  /** See `HelperParts`. */
  readonly members?: ReadonlyMap<string, string> | undefined;
  readonly onAnswer?: (answer: HelperAnswer) => void;
  readonly onError?: (reason: string) => void;
}

export interface HelperServer {
  readonly url: string;
  /** Base64url. */
  readonly publicKey: string;
  close(): Promise<void>;
}

/** 100 000 members. */
const MAX_BODY_BYTES = 2 ** 26;
const REQUEST_TIMEOUT_MS = 600_000;

/** Throws OPTION_INVALID, STORAGE_FAILED, RUN_CORRUPT. */
export async function serveHelper(options: ServeHelperOptions): Promise<HelperServer> {
  checkAddress(options);
  await openFolder(options.store);
  const store = await openSqliteStore(join(options.store, 'helper.db'));
  try {
    const key = await openHelperKey(store.records, (bytes) => randomBytes(bytes));
    const { records } = store;
    const { minUpdates, members } = options;
    const helper = createHelper({ records, ...key, verify: ed25519Verify, minUpdates, members });
    const publicKey = toBase64url(key.publicKey);
    const server = listening(options, (request, response) =>
      answer({ helper, publicKey, options }, request, response),
    );
    const port = await listen(server, options);
    const scheme = options.tlsCert === undefined ? 'http' : 'https';
    return {
      url: `${scheme}://${hostInUrl(options.host)}:${port}`,
      publicKey,
      async close() {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
        await store.close();
      },
    };
  } catch (cause) {
    await store.close();
    throw cause;
  }
}

function checkAddress({ host, tlsCert, tlsKey, insecure }: ServeHelperOptions): void {
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    throw new HeadwaterError('OPTION_INVALID', 'a certificate needs its key, and a key its certificate', {
      hint: 'Give both --tls-cert and --tls-key, or neither.',
    });
  if (tlsCert !== undefined || insecure || isLoopback(host)) return;
  throw new HeadwaterError('OPTION_INVALID', `plain HTTP on ${host} could be read and changed on its way`, {
    hint: 'Give --tls-cert and --tls-key (`headwater certificates` makes them), or --insecure behind a proxy that encrypts.',
  });
}

/** It holds the secret key: this user's alone. */
async function openFolder(folder: string): Promise<void> {
  if (existsSync(folder)) return;
  await makeFolder(folder);
  await chmod(folder, 0o700).catch((cause) => {
    throw storageError(cause, 'make the folder private', folder);
  });
}

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

function listening({ tlsCert, tlsKey }: ServeHelperOptions, listener: Listener): HttpServer {
  const limits = { requestTimeout: REQUEST_TIMEOUT_MS };
  if (tlsCert === undefined || tlsKey === undefined) return createServer(limits, listener);
  const tls = { cert: readPem(tlsCert), key: readPem(tlsKey), minVersion: 'TLSv1.2' } as const;
  return createTlsServer({ ...limits, ...tls }, listener);
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw storageError(cause, 'read the certificate or key', file);
  }
}

function listen(server: HttpServer, { host, port }: ServeHelperOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new HeadwaterError('OPTION_INVALID', `cannot listen on ${host}:${port}: ${messageOf(cause)}`, {
          cause,
        }),
      ),
    );
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

interface Desk {
  readonly helper: Helper;
  readonly publicKey: string;
  readonly options: ServeHelperOptions;
}

function answer(desk: Desk, request: IncomingMessage, response: ServerResponse): void {
  route(desk, request, response).catch((cause) => {
    desk.options.onError?.(messageOf(cause));
    if (response.headersSent) response.destroy();
    else sendJson(response, 500, { error: { code: 'internal', message: 'the helper failed' } });
  });
}

async function route(desk: Desk, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const at = `${request.method} ${request.url}`;
  if (at === 'GET /healthz') return sendJson(response, 200, { status: 'alive' });
  if (at === 'GET /v1/key') return sendJson(response, 200, { key: desk.publicKey });
  if (at === 'POST /v1/unmask') return unmask(desk, request, response);
  return sendJson(response, 404, { error: { code: 'not-found', message: 'there is nothing at this path' } });
}

async function unmask(
  { helper, options }: Desk,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = unmaskRequest.safeParse(await jsonBody(request));
  if (!body.success)
    return sendJson(response, 400, { error: { code: 'malformed', message: HELPER_REFUSALS.malformed } });
  const result = await helper.unmask(body.data);
  options.onAnswer?.(result);
  if (result.kind === 'refused') return sendJson(response, 409, result.body);
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': result.bytes });
  await pipeline(Readable.from(result.sums, { objectMode: false }), response);
}

async function jsonBody(request: IncomingMessage): Promise<unknown> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request) {
    bytes += piece.byteLength;
    if (bytes > MAX_BODY_BYTES) return undefined;
    pieces.push(piece);
  }
  try {
    return JSON.parse(Buffer.concat(pieces).toString('utf8'));
  } catch {
    return undefined;
  }
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
