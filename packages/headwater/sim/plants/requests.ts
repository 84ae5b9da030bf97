/** Mistakes in looking at who sent a request. */

import { clientIdOf, readSignature } from '../../src/federation/wire/signing.ts';
import { bodyOf } from '../network.ts';
import type { Plant } from '../plant.ts';
import { signatureOf } from '../works.ts';

export const requestPlants: Readonly<Record<string, Plant>> = {
  'signature-unchecked': {
    what: 'any signature is good',
    coordinator: (parts) => ({ ...parts, signatures: { ...parts.signatures, verify: async () => true } }),
  },

  'nonces-forgotten': {
    what: 'a request that comes twice is taken for a new one',
    handle(handle) {
      const keys = new Map<string, Uint8Array>();
      const seen = new Map<string, number>();
      return async (request) => {
        const { signature = '', 'signature-input': input = '' } = request.headers;
        const body = await collected(request.body);
        if (body === undefined) return handle({ ...request, body: broken() });
        rememberKey(keys, request.path, body);
        const times = seen.get(signature) ?? 0;
        seen.set(signature, times + 1);
        const again = { ...request, body: once(body) };
        const signed = readSignature(request.method, request.path, request.headers);
        const key = keys.get(signed?.keyId ?? '');
        if (times === 0 || key === undefined) return handle(again);
        // The coordinator is shown the same request with a nonce that it has not seen.
        const headers = {
          ...request.headers,
          'signature-input': input.replace(/nonce="[^"]{8}/, `nonce="again-${times}0`.slice(0, 15)),
        };
        const fresh = readSignature(request.method, request.path, headers);
        if (fresh === undefined) return handle(again);
        const text = Buffer.from(signatureOf(key, fresh.message)).toString('base64');
        return handle({ ...again, headers: { ...headers, signature: `hw=:${text}:` } });
      };
    },
  },
};

function rememberKey(keys: Map<string, Uint8Array>, path: string, body: Uint8Array): void {
  if (!path.endsWith('/join') || body.byteLength === 0) return;
  const { publicKey } = JSON.parse(Buffer.from(body).toString('utf8')) as { publicKey: string };
  const key = new Uint8Array(Buffer.from(publicKey, 'base64url'));
  keys.set(clientIdOf(key), key);
}

/** Undefined when the connection breaks off. */
async function collected(source: AsyncIterable<Uint8Array>): Promise<Uint8Array | undefined> {
  const { pieces, whole } = await bodyOf(source);
  return whole ? new Uint8Array(Buffer.concat(pieces)) : undefined;
}

// biome-ignore lint/correctness/useYield: a body that breaks off at once.
async function* broken(): AsyncGenerator<Uint8Array> {
  throw new Error('the connection broke off');
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.byteLength > 0) yield bytes;
}
