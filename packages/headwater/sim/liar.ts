/**
 * An owner with a good key and a bad conscience: what its client says goes through here and is changed now and then, and
 * signed again with its own key. Every lie contradicts something, so none may ever be counted.
 */

import type { Rng } from '../src/base/random.ts';
import { bodyDigestOf, signRequest } from '../src/federation/wire/signing.ts';
import type { Transport, WireRequest } from '../src/federation/wire/transport.ts';
import { virtualSigner } from './client-process.ts';
import { randomBytes } from './random-bytes.ts';

type Said = Record<string, unknown> & { round: number };
type Lie = (said: Said, random: Rng) => Record<string, unknown>;

const hex = (random: Rng) => Buffer.from(randomBytes(random, 32)).toString('hex');

const LIES: readonly Lie[] = [
  (said) => ({ ...said, round: said.round + 1 }),
  (said) => ({ ...said, round: Math.max(1, said.round - 1) }),
  (said, random) => ({ ...said, base: hex(random) }),
  (said, random) => ({ ...said, baseModel: hex(random) }),
  (said, random) => ({ ...said, update: { digest: hex(random), bytes: 100 } }),
  (said) => ({ ...said, update: { ...(said.update as object), bytes: 1e11 } }),
  (said) => ({ ...said, update: { ...(said.update as object), bytes: 1 } }),
];

/** `key`: the secret one, once there is one. `createdMs`: by the coordinator's clock, as the client has learnt it. */
export function lyingTransport(
  transport: Transport,
  key: () => Uint8Array | undefined,
  random: Rng,
  createdMs: () => number,
): Transport {
  return async (request, signal) => {
    const isUpdate = request.method === 'POST' && request.path.endsWith('/updates');
    const secret = key();
    if (!isUpdate || secret === undefined || random.uniform() < 0.4) return transport(request, signal);
    const said = JSON.parse(Buffer.from(request.body!).toString('utf8')) as Said;
    const lie = LIES[random.below(LIES.length)]!(said, random);
    return transport(await signedAnew(request, lie, secret, random, createdMs()), signal);
  };
}

async function signedAnew(
  request: WireRequest,
  value: unknown,
  key: Uint8Array,
  random: Rng,
  createdMs: number,
): Promise<WireRequest> {
  const body = new Uint8Array(Buffer.from(JSON.stringify(value)));
  const nonce = Buffer.from(randomBytes(random, 16)).toString('base64url');
  const { method, path } = request;
  const toSign = { method, path, bodyDigest: bodyDigestOf(body), createdMs, nonce };
  return {
    ...request,
    headers: { ...request.headers, ...(await signRequest(virtualSigner(key), toSign)) },
    body,
  };
}
