/** Signature headers, digests, invitations and keys of the wire against random and mutated text. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromBase64url, toBase64url } from '../../src/base/base64url.ts';
import { ed25519FromSeed, ed25519Verify } from '../../src/base/ed25519-node.ts';
import { HeadwaterError } from '../../src/base/errors.ts';
import { formatJoinToken, parseInvitation, parseJoinToken } from '../../src/federation/wire/join-token.ts';
import {
  bodyDigestOf,
  parseContentDigest,
  readSignature,
  signRequest,
} from '../../src/federation/wire/signing.ts';
import { expectUnpolluted, mutatedBytes, PARAMETERS } from './support.ts';

const signer = ed25519FromSeed(new Uint8Array(32).fill(3));
const path = '/v1/runs/demo/uploads/abc/chunks/0?x=1';
const headers = await signRequest(signer, {
  method: 'PUT',
  path,
  bodyDigest: bodyDigestOf(Uint8Array.of(1, 2, 3)),
  createdMs: 1_800_000_000_123,
  nonce: 'AbCdEfGhIjKlMnOpQrStUv',
});
const names = ['content-digest', 'signature-input', 'signature'] as const;
const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');

describe('signature headers', () => {
  it('a mutation of any header is unreadable, fails to verify, or is the same text', async () => {
    const mutation = fc
      .constantFrom(...names)
      .chain((name) =>
        fc.tuple(fc.constant(name), mutatedBytes([Buffer.from(headers[name]!, 'latin1')]).map(latin1)),
      );
    await fc.assert(
      fc.asyncProperty(mutation, async ([name, text]) => {
        const read = readSignature('PUT', path, { ...headers, [name]: text });
        if (read === undefined || text === headers[name]) return;
        expect(await ed25519Verify(signer.publicKey, read.message, read.signature)).toBe(false);
      }),
      { ...PARAMETERS, numRuns: 3000 },
    );
  });

  it('no other method and no other path has the signature', async () => {
    const target = fc.tuple(
      fc.constantFrom('GET', 'POST', 'PUT', 'put', 'DELETE', ''),
      mutatedBytes([Buffer.from(path)]).map(latin1),
    );
    await fc.assert(
      fc.asyncProperty(target, async ([method, other]) => {
        if (method === 'PUT' && other === path) return;
        const read = readSignature(method, other, headers);
        if (read !== undefined)
          expect(await ed25519Verify(signer.publicKey, read.message, read.signature)).toBe(false);
      }),
      PARAMETERS,
    );
  });

  it('any header text is read in time that does not explode', () => {
    const nasty = fc.constantFrom('(', '"', ';', '=', ':', 'hw=', 'created=', '1', 'A', '\\', ' ');
    const text = fc.oneof(
      fc.string(),
      fc.array(nasty, { maxLength: 400 }).map((parts) => parts.join('')),
      fc.tuple(nasty, fc.nat(65_536)).map(([part, times]) => part.repeat(times)),
    );
    fc.assert(
      fc.property(text, text, text, (input, signature, digest) => {
        const read = readSignature('POST', '/', {
          'signature-input': input,
          signature,
          'content-digest': digest,
        });
        expect(read).toBeUndefined();
        expect(parseContentDigest(digest)).toBeUndefined();
      }),
      PARAMETERS,
    );
    expectUnpolluted();
  });

  it('names of Object.prototype are no headers', () => {
    expect(readSignature('POST', '/', Object.create({ signature: headers.signature }))).toBeUndefined();
  });
});

describe('keys and tokens', () => {
  it('base64url has one way to write some bytes, and takes no other', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[A-Za-z0-9_-]{0,60}$/)), (text) => {
        const bytes = fromBase64url(text);
        if (bytes !== undefined) expect(toBase64url(bytes)).toBe(text);
      }),
      PARAMETERS,
    );
  });

  it('32 bytes that are no key, and signatures of any length, verify nothing', async () => {
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    await fc.assert(
      fc.asyncProperty(
        bytes(32),
        fc.oneof(bytes(64), fc.uint8Array({ maxLength: 80 })),
        fc.uint8Array({ minLength: 1 }),
        async (key, signature, message) => {
          expect(await ed25519Verify(key, message, signature)).toBe(false);
        },
      ),
      { ...PARAMETERS, numRuns: 500 },
    );
  });

  it('any text is an invitation and a token, or is refused', () => {
    const good = `https://host:8420/base/#${formatJoinToken(new Uint8Array(32), new Uint8Array(32))}`;
    const text = fc.oneof(
      fc.string(),
      mutatedBytes([Buffer.from(good)]).map(latin1),
      fc.webUrl({ withFragments: true }),
    );
    fc.assert(
      fc.property(text, (given) => {
        try {
          const { url, token } = parseInvitation(given);
          expect(['http:', 'https:']).toContain(new URL(url).protocol);
          if (token !== undefined) parseJoinToken(token);
        } catch (error) {
          if (!(error instanceof HeadwaterError) || error.code !== 'OPTION_INVALID') throw error;
          // A mistyped token must not be printed whole: it may still be redeemed.
          expect(error.message.length).toBeLessThan(120);
        }
      }),
      PARAMETERS,
    );
  });
});
