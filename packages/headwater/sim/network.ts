/**
 * A virtual network behind the client's Transport: requests become calls of a coordinator's `handle`, answers come back in
 * pieces. Both get lost, doubled, late or cut, and places are cut off from each other, as the faults say.
 */

import { joinBytes } from '../src/base/bytes.ts';
import type { Rng } from '../src/base/random.ts';
import type { IncomingRequest } from '../src/coordinator/ports.ts';
import type { Transport, WireRequest, WireResponse } from '../src/federation/wire/transport.ts';
import { type Life, notice } from './life.ts';
import type { VirtualTime } from './virtual-time.ts';

/** A process that answers; a new one after each restart. */
export interface Endpoint {
  readonly name: string;
  readonly life: Life;
  handle(request: IncomingRequest): Promise<WireResponse>;
}

export const FATES = ['fine', 'lost', 'answer-lost', 'doubled', 'cut-request', 'cut-answer', 'slow'] as const;
export type Fate = (typeof FATES)[number];

export interface NetworkFaults {
  fate(client: string, endpoint: string, request: WireRequest): Fate;
  /** Whether the two cannot reach each other now. */
  parted(client: string, endpoint: string): boolean;
}

export const NO_NETWORK_FAULTS: NetworkFaults = { fate: () => 'fine', parted: () => false };

/** An answer as it left the coordinator, whole. */
export interface Answered {
  readonly client: string;
  readonly endpoint: string;
  readonly request: WireRequest;
  readonly status: number;
  readonly body: Uint8Array;
}

export interface Network {
  faults: NetworkFaults;
  /** Names of the places that clients know; what runs there at present may be nothing. */
  readonly endpoints: Map<string, Endpoint | undefined>;
  /** Called for every request that leaves a client. */
  onSent(client: string, request: WireRequest): void;
  /** Called for every answer that leaves a coordinator. */
  onAnswered(answer: Answered): void;
  /** Called for every whole answer that reaches the client that asked. */
  onReceived(answer: Answered): void;
  transport(client: string, life: Life): Transport;
}

interface Call {
  readonly network: Network;
  readonly time: VirtualTime;
  readonly random: Rng;
  readonly client: string;
  readonly life: Life;
  readonly request: WireRequest;
  readonly signal: AbortSignal | undefined;
  readonly place: string;
  readonly fate: Fate;
  readonly resolve: (response: WireResponse) => void;
  readonly reject: (error: Error) => void;
}

export function createNetwork(time: VirtualTime, random: Rng): Network {
  const network: Network = {
    faults: NO_NETWORK_FAULTS,
    endpoints: new Map(),
    onSent: () => {},
    onAnswered: () => {},
    onReceived: () => {},
    transport: (client, life) => (request, signal) =>
      new Promise((resolve, reject) => {
        if (!life.alive) return;
        if (signal?.aborted === true) return reject(connectionError('aborted'));
        const places = [...network.endpoints.keys()];
        const place = places[random.below(places.length)]!;
        const fate = network.faults.fate(client, place, request);
        network.onSent(client, request);
        const base = { network, time, random, client, life, request, signal, place, fate };
        call({ ...base, ...once(life, signal, resolve, reject) });
      }),
  };
  return network;
}

/** The first outcome counts, none after the death of who asked; an abort is an outcome. */
function once(
  life: Life,
  signal: AbortSignal | undefined,
  resolve: (response: WireResponse) => void,
  reject: (error: Error) => void,
): Pick<Call, 'resolve' | 'reject'> {
  let open = true;
  const settle = (act: () => void) => {
    signal?.removeEventListener('abort', abort);
    if (open && life.alive) act();
    open = false;
  };
  const abort = () => settle(() => reject(connectionError('aborted')));
  signal?.addEventListener('abort', abort);
  return {
    resolve: (response) => settle(() => resolve(response)),
    reject: (error) => settle(() => reject(error)),
  };
}

/** Longest that a transport waits before it says that no answer came. */
const GIVE_UP_MS = 30_000;

function call(made: Call): void {
  const { network, time, random, client, place, fate } = made;
  if (network.faults.parted(client, place) || fate === 'lost') {
    time.after(random.uniform() * GIVE_UP_MS, () => made.reject(connectionError('timed out')));
    return;
  }
  const delay = latencyMs(made);
  // Of a doubled request the answer to either may be the one that comes back.
  const first = fate !== 'doubled' || random.uniform() < 0.5;
  time.after(delay, () => arrive(made, first));
  if (fate === 'doubled')
    time.after(delay + latencyMs(made) + random.uniform() * 5000, () => arrive(made, !first));
}

function latencyMs({ random, fate }: Call): number {
  return 0.2 + random.uniform() * (fate === 'slow' ? 15_000 : 5);
}

/** `awaited`: somebody waits for this answer; nobody does for that of a doubled request. */
function arrive(made: Call, awaited: boolean): void {
  const { network, time, place } = made;
  const endpoint = network.endpoints.get(place);
  if (endpoint?.life.alive !== true) {
    time.after(latencyMs(made), () => made.reject(connectionError('refused')));
    return;
  }
  const fail = () => time.after(latencyMs(made), () => made.reject(connectionError('reset')));
  const stop = endpoint.life.onDeath(fail);
  notice(time, endpoint.life, () => serve(made, endpoint, awaited, stop));
}

function serve(made: Call, endpoint: Endpoint, awaited: boolean, stop: () => void): void {
  const { time, life, fate, signal } = made;
  const hangUp = new AbortController();
  const cut = fate === 'cut-request' && awaited;
  const leave = () => time.after(1, () => notice(time, endpoint.life, () => hangUp.abort()));
  const stops = [life.onDeath(leave), stop];
  if (awaited) signal?.addEventListener('abort', leave, { once: true });
  const handled = async () => {
    const response = await endpoint.handle(incomingOf(made, cut, hangUp));
    const { pieces, whole } = await bodyOf(response.body);
    for (const stop of stops) stop();
    signal?.removeEventListener('abort', leave);
    answer(made, endpoint, response, pieces, whole, awaited && !cut);
  };
  // Not caught: a coordinator promises to answer everything.
  void handled();
  if (cut) time.after(latencyMs(made), () => made.reject(connectionError('reset')));
}

function incomingOf(
  { request, client, random }: Call,
  cut: boolean,
  hangUp: AbortController,
): IncomingRequest {
  const body = request.body ?? new Uint8Array(0);
  const end = cut ? random.below(body.byteLength + 1) : body.byteLength;
  const middle = random.below(end + 1);
  async function* pieces() {
    if (middle > 0) yield body.slice(0, middle);
    if (end > middle) yield body.slice(middle, end);
    if (!cut) return;
    hangUp.abort();
    throw connectionError('reset while the body was sent');
  }
  const { method, path, headers } = request;
  return { method, path, headers, body: pieces(), remoteAddress: `10.0.0.${client}`, signal: hangUp.signal };
}

/** Everything that comes; not whole when it breaks off. */
export async function bodyOf(
  body: WireResponse['body'],
): Promise<{ readonly pieces: Uint8Array[]; readonly whole: boolean }> {
  const pieces: Uint8Array[] = [];
  try {
    for await (const piece of body) pieces.push(piece.slice());
    return { pieces, whole: true };
  } catch {
    return { pieces, whole: false };
  }
}

function answer(
  made: Call,
  endpoint: Endpoint,
  { status, headers }: WireResponse,
  pieces: Uint8Array[],
  complete: boolean,
  awaited: boolean,
): void {
  const { network, time, random, client, request, fate, place } = made;
  if (!endpoint.life.alive) return;
  const answered = { client, endpoint: place, request, status, body: joinBytes(pieces) };
  network.onAnswered(answered);
  if (!awaited) return;
  if (fate === 'answer-lost' || network.faults.parted(client, place)) {
    time.after(random.uniform() * GIVE_UP_MS, () => made.reject(connectionError('timed out')));
    return;
  }
  const whole = complete && fate !== 'cut-answer';
  const sent = whole ? pieces : cutPieces(pieces, random);
  time.after(latencyMs(made), () => {
    if (whole && made.life.alive) network.onReceived(answered);
    made.resolve({ status, headers, body: arriving(sent, whole) });
  });
}

function cutPieces(pieces: Uint8Array[], random: Rng): Uint8Array[] {
  const all = joinBytes(pieces);
  return [all.slice(0, random.below(all.byteLength + 1))];
}

export async function* arriving(pieces: Uint8Array[], whole: boolean): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) if (piece.byteLength > 0) yield piece;
  if (!whole) throw connectionError('reset while the answer was sent');
}

function connectionError(what: string): Error {
  return Object.assign(new Error(`virtual network: connection ${what}`), { code: 'ECONNRESET' });
}
