/**
 * The helper as a process: HTTP in front, one SQLite file behind. `GET /v1/key` tells its public key, `POST /v1/unmask` opens a sum.
 * What it is asked is decided in `core.ts`.
 */

import { randomBytes } from 'node:crypto';
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
import { hostInUrl } from '../base/hosts.ts';
import { checkListening, readPem } from '../base/listening-node.ts';
import { makePrivateFolder } from '../base/make-folder-node.ts';
import { DRAW_HEADER, HELPER_REFUSALS, unmaskRequest } from '../federation/wire/helper.ts';
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
/** Of all requests that are read or answered at one time: anybody may send some. */
const MAX_HELD_BYTES = 4 * MAX_BODY_BYTES;
const REQUEST_TIMEOUT_MS = 600_000;

/** Throws OPTION_INVALID, STORAGE_FAILED, RUN_CORRUPT. */
export async function serveHelper(options: ServeHelperOptions): Promise<HelperServer> {
  checkListening(options);
  await makePrivateFolder(options.store);
  const store = await openSqliteStore(join(options.store, 'helper.db'));
  try {
    const key = await openHelperKey(store.records, (bytes) => randomBytes(bytes));
    const { records } = store;
    const { minUpdates, members } = options;
    const helper = createHelper({ records, ...key, verify: ed25519Verify, minUpdates, members });
    const publicKey = toBase64url(key.publicKey);
    const desk = { helper, publicKey, options, held: { bytes: 0 } };
    const server = listening(options, (request, response) => answer(desk, request, response));
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

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

function listening({ tlsCert, tlsKey }: ServeHelperOptions, listener: Listener): HttpServer {
  const limits = { requestTimeout: REQUEST_TIMEOUT_MS };
  if (tlsCert === undefined || tlsKey === undefined) return createServer(limits, listener);
  const tls = { cert: readPem(tlsCert), key: readPem(tlsKey), minVersion: 'TLSv1.2' } as const;
  return createTlsServer({ ...limits, ...tls }, listener);
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
  readonly held: { bytes: number };
}

function answer(desk: Desk, request: IncomingMessage, response: ServerResponse): void {
  route(desk, request, response).catch((cause) => {
    desk.options.onError?.(messageOf(cause));
    if (response.headersSent) response.destroy();
    else
      sendJson(response, 500, {
        error: { code: 'internal', message: 'the helper failed; its own output says why' },
      });
  });
}

async function route(desk: Desk, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const at = `${request.method} ${request.url}`;
  if (at === 'GET /healthz') return sendJson(response, 200, { status: 'alive' });
  if (at === 'GET /v1/key') return sendJson(response, 200, { key: desk.publicKey });
  if (at === 'POST /v1/unmask') return unmask(desk, request, response);
  return sendJson(response, 404, { error: { code: 'not-found', message: 'there is nothing at this path' } });
}

async function unmask(desk: Desk, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { held } = desk;
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const piece of request) {
      bytes += piece.byteLength;
      held.bytes += piece.byteLength;
      if (bytes > MAX_BODY_BYTES) return refuse(response, 413, 'malformed', HELPER_REFUSALS.malformed);
      if (held.bytes > MAX_HELD_BYTES)
        return refuse(response, 503, 'busy', 'the helper has too many orders at once; ask again');
      pieces.push(piece);
    }
    await opened(desk, Buffer.concat(pieces), response);
  } finally {
    held.bytes -= bytes;
  }
}

async function opened({ helper, options }: Desk, bytes: Buffer, response: ServerResponse): Promise<void> {
  const body = unmaskRequest.safeParse(jsonOf(bytes));
  if (!body.success) return refuse(response, 400, 'malformed', HELPER_REFUSALS.malformed);
  const result = await helper.unmask(body.data);
  options.onAnswer?.(result);
  if (result.kind === 'refused') return sendJson(response, 409, result.body);
  const about = { 'content-type': 'application/octet-stream', [DRAW_HEADER]: result.draw };
  response.writeHead(200, { ...about, 'content-length': result.bytes });
  await pipeline(Readable.from(result.sums, { objectMode: false }), response);
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** Also of a body that is not read to its end: the connection goes with it. */
function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  response.setHeader('connection', 'close');
  sendJson(response, status, { error: { code, message } });
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
