/**
 * Somebody on the network who sees every request, changes them, and sends them again; and an owner of another run who tries
 * its key here. Whatever was changed must be refused; what was only repeated is the business of the nonces' checker.
 */

import type { Rng } from '../src/base/random.ts';
import type { Transport, WireRequest, WireResponse } from '../src/federation/wire/transport.ts';
import type { Report } from './checkers/violation.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface Adversary {
  /** A request on its way from a client. */
  sees(request: WireRequest): void;
}

interface Attack {
  readonly name: string;
  /** `repeat`: as it was; anything else must be refused. */
  readonly change: (request: WireRequest, random: Rng) => WireRequest | undefined;
}

const ATTACKS: readonly Attack[] = [
  { name: 'repeat', change: (request) => request },
  { name: 'other body', change: (request, random) => withBody(request, random) },
  { name: 'other path', change: (request) => withPath(request, (path) => path.replace(/site-./, 'site-z')) },
  {
    name: 'other run',
    change: (request) => withPath(request, (path) => path.replace('/runs/tiny', '/runs/other')),
  },
  {
    name: 'other query',
    change: (request) => ({
      ...request,
      path: `${request.path}${request.path.includes('?') ? '&' : '?'}wait=1`,
    }),
  },
  {
    name: 'other nonce',
    change: (request) =>
      withHeader(request, 'signature-input', (text) => text.replace(/nonce="./, 'nonce="Z')),
  },
  {
    name: 'other time',
    change: (request) => withHeader(request, 'signature-input', (text) => text.replace(/ms=\d+/, 'ms=1')),
  },
  {
    name: 'other signature',
    change: (request) => withHeader(request, 'signature', (text) => text.replace(/:.../, ':AAA')),
  },
  {
    name: 'no signature',
    change: ({ headers: { signature, ...headers }, ...rest }) =>
      signature === undefined ? undefined : { ...rest, headers },
  },
];

export function createAdversary(
  time: VirtualTime,
  random: Rng,
  transport: Transport,
  report: Report,
  untilMs: number,
): Adversary {
  const send = (attack: Attack, request: WireRequest) => {
    const changed = attack.change(request, random);
    if (changed === undefined || (attack.name !== 'repeat' && isSame(changed, request))) return;
    transport(changed).then(
      (response) => {
        if (attack.name === 'repeat' || response.status >= 400) return drain(response);
        report(
          'forgery',
          `${attack.name}: ${changed.method} ${changed.path} was answered with ${response.status}`,
        );
      },
      () => {},
    );
  };
  return {
    sees(request) {
      if (time.nowMs > untilMs || request.headers.signature === undefined || random.uniform() > 0.15) return;
      const attack = ATTACKS[random.below(ATTACKS.length)]!;
      const inMs = random.uniform() < 0.5 ? random.uniform() * 50 : random.uniform() * 120_000;
      time.after(inMs, () => send(attack, request));
    },
  };
}

async function drain({ body }: WireResponse): Promise<void> {
  try {
    for await (const _ of body);
  } catch {
    // A cut answer is nothing to an adversary.
  }
}

function isSame(a: WireRequest, b: WireRequest): boolean {
  return (
    a.path === b.path &&
    JSON.stringify(a.headers) === JSON.stringify(b.headers) &&
    Buffer.compare(a.body ?? Buffer.of(), b.body ?? Buffer.of()) === 0
  );
}

function withBody(request: WireRequest, random: Rng): WireRequest | undefined {
  if (request.body === undefined || request.body.byteLength === 0) return undefined;
  const body = request.body.slice();
  const at = random.below(body.byteLength);
  body[at] = body[at]! ^ (1 << random.below(8));
  return { ...request, body };
}

function withPath(request: WireRequest, change: (path: string) => string): WireRequest {
  return { ...request, path: change(request.path) };
}

function withHeader(request: WireRequest, name: string, change: (text: string) => string): WireRequest {
  const text = request.headers[name];
  return text === undefined ? request : { ...request, headers: { ...request.headers, [name]: change(text) } };
}
