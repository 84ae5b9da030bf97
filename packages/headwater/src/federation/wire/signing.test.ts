import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ed25519FromSeed, ed25519Verify } from '../../base/ed25519-node.ts';
import {
  bodyDigestOf,
  clientIdOf,
  contentDigestOf,
  parseContentDigest,
  readSignature,
  signatureBase,
  signRequest,
} from './signing.ts';

const signer = ed25519FromSeed(new Uint8Array(32).fill(7));
const request = {
  method: 'POST',
  path: '/v1/runs/demo/updates?x=1',
  bodyDigest: bodyDigestOf(new TextEncoder().encode('{"a":1}')),
  createdMs: 1_618_884_473_123,
  nonce: 'AAAAAAAAAAAAAAAAAAAAAA',
};

async function verified(
  method: string,
  path: string,
  headers: Readonly<Record<string, string | undefined>>,
): Promise<boolean> {
  const read = readSignature(method, path, headers);
  return read !== undefined && ed25519Verify(signer.publicKey, read.message, read.signature);
}

describe('signature base', () => {
  it('is that of RFC 9421, B.2.6, whose signature verifies with its test key', async () => {
    const key = Buffer.from('JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=', 'base64');
    const params =
      '("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"';
    const base = signatureBase(
      [
        ['date', 'Tue, 20 Apr 2021 02:07:55 GMT'],
        ['@method', 'POST'],
        ['@path', '/foo'],
        ['@authority', 'example.com'],
        ['content-type', 'application/json'],
        ['content-length', '18'],
      ],
      params,
    );
    const signature = Buffer.from(
      'wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==',
      'base64',
    );
    expect(await ed25519Verify(key, Buffer.from(base), signature)).toBe(true);
    expect(await ed25519Verify(key, Buffer.from(`${base} `), signature)).toBe(false);
  });

  it('has a digest of the body as RFC 9530 writes it', () => {
    const digest = bodyDigestOf(new TextEncoder().encode('{"hello": "world"}\n'));
    expect(contentDigestOf(digest)).toBe('sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:');
    expect(parseContentDigest(contentDigestOf(digest))).toBe(digest);
    expect(parseContentDigest('sha-256=:AAAA:')).toBeUndefined();
    expect(parseContentDigest(undefined)).toBeUndefined();
  });
});

describe('signed requests', () => {
  it('are read as they were signed', async () => {
    const headers = await signRequest(signer, request);
    expect(await verified(request.method, request.path, headers)).toBe(true);
    expect(readSignature(request.method, request.path, headers)).toMatchObject({
      keyId: clientIdOf(signer.publicKey),
      createdMs: request.createdMs,
      nonce: request.nonce,
      bodyDigest: request.bodyDigest,
    });
  });

  it('without a body cover no digest', async () => {
    const headers = await signRequest(signer, { ...request, method: 'GET', bodyDigest: undefined });
    expect(headers['content-digest']).toBeUndefined();
    expect(await verified('GET', request.path, headers)).toBe(true);
  });

  it('are refused when anything that is covered was changed', async () => {
    const headers = await signRequest(signer, request);
    const { 'signature-input': input = '', signature = '' } = headers;
    const { method, path } = request;
    const other = contentDigestOf(bodyDigestOf(new Uint8Array(1)));
    const changed: [string, string, Record<string, string | undefined>][] = [
      ['PUT', path, headers],
      [method, '/v1/runs/other/updates?x=1', headers],
      [method, '/v1/runs/demo/updates?x=2', headers],
      [method, '/v1/runs/demo/updates', headers],
      [method, path, { ...headers, 'content-digest': other }],
      [method, path, { ...headers, 'content-digest': undefined }],
      [
        method,
        path,
        { ...headers, 'signature-input': input.replace('created=1618884473', 'created=1618884474') },
      ],
      [method, path, { ...headers, 'signature-input': input.replace('ms=123', 'ms=124') }],
      [method, path, { ...headers, 'signature-input': input.replace('nonce="A', 'nonce="B') }],
      [method, path, { ...headers, 'signature-input': input.replace(' "content-digest"', '') }],
      [method, path, { ...headers, 'signature-input': input.replace('ed25519', 'none') }],
      [
        method,
        path,
        { ...headers, signature: signature.replace(/:[A-Za-z0-9]/, (c) => (c === ':A' ? ':B' : ':A')) },
      ],
      [method, path, { ...headers, signature: 'hw=::' }],
      [method, path, {}],
    ];
    for (const [i, [m, p, h]] of changed.entries()) expect([i, await verified(m, p, h)]).toEqual([i, false]);
  });

  it('never make the reader throw, whatever the headers say', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), fc.string(), (path, input, signature, digest) => {
        const headers = { 'signature-input': input, signature, 'content-digest': digest };
        expect(readSignature('POST', path, headers)).toBeUndefined();
      }),
      { seed: 1, numRuns: 500 },
    );
  });
});
