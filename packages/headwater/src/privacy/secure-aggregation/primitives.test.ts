import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import vectors from '../../../test/fixtures/secure-aggregation/vectors.json' with { type: 'json' };
import { seal, unseal } from './aes-gcm.ts';
import { type AggregationContext, contextBytes } from './context.ts';
import { graphParameters, neighbourhoods } from './graph.ts';
import { smallestGraph } from './harary-parameters.ts';
import { hkdfSha256 } from './hkdf.ts';
import { keyAgreement, portableAgreement, webcryptoAgreement } from './key-agreement.ts';
import { addMask, openMaskStream } from './mask-stream.ts';
import { recoverSecret, shareSecret } from './shamir.ts';
import { addWords, bytesOfWords, wordsOfBytes } from './words.ts';

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));
const hex = (data: Uint8Array) => Buffer.from(data).toString('hex');
const counting = (length: number) => Uint8Array.from({ length }, (_, i) => i);

describe('known answers', () => {
  it('AES-256-CTR keystream of the mask, and NIST SP 800-38A F.5.5 for the cipher under it', async () => {
    const stream = await openMaskStream(counting(32));
    const first = await stream.words(0, 4);
    expect(hex(new Uint8Array(first.buffer, first.byteOffset, 16))).toBe(vectors.secagg_prg.first16);
    const key = bytes('603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4');
    const secret = await crypto.subtle.importKey('raw', key, 'AES-CTR', false, ['encrypt']);
    const counter = bytes('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff');
    const text = bytes('6bc1bee22e409f96e93d7e117393172a');
    const sealed = await crypto.subtle.encrypt({ name: 'AES-CTR', counter, length: 64 }, secret, text);
    expect(hex(new Uint8Array(sealed))).toBe('601ec313775789a5b7a7f504bbf3d228');
  });

  it('HKDF: RFC 5869 case 3 and the pairwise key', () => {
    expect(hex(hkdfSha256(new Uint8Array(22).fill(0x0b), new Uint8Array(0), '', 42))).toBe(
      '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
    );
    const { ikm, info, out } = vectors.secagg_prg.hkdf;
    expect(hex(hkdfSha256(bytes(ikm), counting(32), info))).toBe(out);
  });

  for (const [name, agreement] of [
    ['WebCrypto', webcryptoAgreement],
    ['JavaScript', portableAgreement],
  ] as const)
    it(`X25519 by ${name}: RFC 7748, and points of low order are refused`, async () => {
      const scalar = bytes('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4');
      const point = bytes('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c');
      expect(hex(await agreement.agree(scalar, point))).toBe(
        'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
      );
      const bob = bytes('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb');
      expect(hex(await agreement.publicKey(bob))).toBe(
        'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
      );
      const alice = bytes('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a');
      expect(hex(await agreement.agree(bob, alice))).toBe(
        '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742',
      );
      for (const low of LOW_ORDER) await expect(agreement.agree(bob, bytes(low))).rejects.toThrow('bad-key');
      await expect(agreement.agree(bob, new Uint8Array(31))).rejects.toThrow('bad-key');
    });

  it('Node uses its own X25519', async () => {
    expect(await keyAgreement()).toBe(webcryptoAgreement);
  });

  it('AES-256-GCM: case 14 of its specification; no other key, context or byte opens it', async () => {
    const key = new Uint8Array(32);
    const sealed = await seal(key, new Uint8Array(12), new Uint8Array(16), new Uint8Array(0));
    expect(hex(sealed.subarray(12))).toBe('cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919');
    expect(await unseal(key, sealed, new Uint8Array(0))).toEqual(new Uint8Array(16));
    expect(await unseal(key, sealed, counting(1))).toBeUndefined();
    expect(await unseal(counting(32), sealed, new Uint8Array(0))).toBeUndefined();
    for (const at of [0, 12, 30, 43]) {
      const changed = sealed.slice();
      changed[at]! ^= 1;
      expect(await unseal(key, changed, new Uint8Array(0))).toBeUndefined();
    }
    expect(await unseal(key, new Uint8Array(27), new Uint8Array(0))).toBeUndefined();
  });
});

/** Points whose multiples are few, in all their encodings below 2²⁵⁵. */
const LOW_ORDER = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
];

describe('masks', () => {
  it('are the same from any place, and every 256-bit key counts', async () => {
    const whole = new Uint32Array(600_000);
    await addMask(whole, counting(32), 1);
    const stream = await openMaskStream(counting(32));
    for (const [first, count] of [
      [1, 7],
      [262_143, 5],
      [599_990, 10],
    ] as const)
      expect([...(await stream.words(first, count))]).toEqual([...whole.subarray(first, first + count)]);
    const piece = new Uint32Array(1000);
    await addMask(piece, counting(32), -1, 500_001);
    addWords(piece, whole.subarray(500_001, 501_001));
    expect(piece.every((word) => word === 0)).toBe(true);
    for (const at of [0, 13, 31]) {
      const key = counting(32);
      key[at]! ^= 128;
      const other = new Uint32Array(1000);
      await addMask(other, key, 1);
      expect(other.filter((word, i) => word === whole[i]).length).toBe(0);
    }
    expect(whole.includes(0xffffffff) || new Set(whole.subarray(0, 9999)).size > 9990).toBe(true);
  });

  it('wrap around at 2³²; words are little-endian', () => {
    const sum = Uint32Array.of(0x7fffffff, 0xffffffff, 0);
    addWords(sum, Uint32Array.of(0x7fffffff, 1, 1), 1);
    addWords(sum, Uint32Array.of(0x80000001, 3, 2), -1);
    expect([...sum]).toEqual([0x7ffffffd, 0xfffffffd, 0xffffffff]);
    expect([...bytesOfWords(Uint32Array.of(0x01020304))]).toEqual([4, 3, 2, 1]);
    expect([...wordsOfBytes(Uint8Array.of(9, 4, 3, 2, 1).subarray(1))]).toEqual([0x01020304]);
  });

  it('are bound to each field of what the aggregation is about', () => {
    const context: AggregationContext = {
      ...{ protocol: 'secagg-plus', run: 'r', round: 1, attempt: 1, numOwners: 5, minOwners: 3, length: 10 },
      ...{ layout: 'aa', roster: 'bb', assumed: { adversaries: 0.1, dropouts: 0.2 } },
    };
    const others: Partial<AggregationContext>[] = [
      { protocol: 'two-server' },
      ...[{ run: 's' }, { round: 2 }, { attempt: 2 }, { numOwners: 6 }, { minOwners: 2 }, { length: 11 }],
      ...[{ layout: 'ab' }, { roster: 'bc' }, { assumed: { adversaries: 0.1, dropouts: 0.3 } }],
    ];
    const all = [{}, ...others].map((change) => hex(contextBytes({ ...context, ...change })));
    expect(new Set(all).size).toBe(others.length + 1);
    expect(hex(contextBytes({ ...context }))).toBe(all[0]);
  });
});

describe('shares', () => {
  const fits = (secret: Uint8Array) => (got: Uint8Array) => hex(got) === hex(secret);
  const held = (shares: readonly Uint8Array[]) => shares.map((share, i) => ({ holder: `h${i}`, share }));

  it('any threshold of them give the secret, fewer do not; wrong ones are named', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 2, max: 12 }),
        fc.nat(),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        async (count, draw, secret) => {
          const threshold = 2 + (draw % (count - 1));
          const shares = held(await shareSecret(secret, count, threshold));
          const some = shares.filter((_, i) => (i * 7 + draw) % count < threshold).reverse();
          const found = await recoverSecret(some.slice(0, threshold), threshold, fits(secret));
          expect(found).toMatchObject({ secret: new Uint8Array(secret), wrong: [] });
          const few = await recoverSecret(some.slice(0, threshold - 1), threshold, fits(secret));
          expect(few.secret).toBeUndefined();
          if (count < threshold + 1) return;
          shares[draw % count]!.share[3]! ^= 7;
          const despite = await recoverSecret(shares, threshold, fits(secret));
          expect(despite).toMatchObject({ secret: new Uint8Array(secret), wrong: [`h${draw % count}`] });
        },
      ),
      { numRuns: 25, seed: 3 },
    );
  });

  it('fewer than the threshold are uniform whatever the secret: χ² of a byte over 2048 sharings', async () => {
    for (const fill of [0, 255]) {
      const counts = new Float64Array(256);
      for (let i = 0; i < 2048; i++) {
        const [first] = await shareSecret(new Uint8Array(4).fill(fill), 3, 2);
        counts[first![1]!]! += 1;
      }
      const chi = counts.reduce((sum, count) => sum + (count - 8) ** 2 / 8, 0);
      // 255 degrees of freedom: six standard deviations on both sides.
      expect(Math.abs(chi - 255)).toBeLessThan(6 * Math.sqrt(510));
    }
  });

  it('malformed and repeated ones are no shares', async () => {
    const secret = counting(32);
    const [a, b] = (await shareSecret(secret, 2, 2)) as [Uint8Array, Uint8Array];
    const offered = [a, a, new Uint8Array(33), b.subarray(1), new Uint8Array(0)];
    expect((await recoverSecret(held(offered), 2, fits(secret))).secret).toBeUndefined();
    const found = await recoverSecret(held([...offered, b]), 2, fits(secret));
    expect(found).toMatchObject({ secret: new Uint8Array(secret), wrong: ['h2', 'h3', 'h4'] });
  });
});

describe('the graph of neighbours', () => {
  it('has the degrees and thresholds that Google’s finder gives', () => {
    for (const { n, adv, drop, semi_malicious, degree, threshold } of vectors.harary_params) {
      const server = semi_malicious === 1 ? 'semi-malicious' : 'curious';
      const found = smallestGraph({ numMembers: n, adversaries: adv, dropouts: drop, server });
      expect({ n, adv, drop, server, ...found }).toEqual({ n, adv, drop, server, degree, threshold });
    }
  });

  it('is symmetric, of one degree, drawn by the beacon; complete for few', async () => {
    const members = Array.from({ length: 64 }, (_, i) => `m${String(i).padStart(2, '0')}`);
    const rates = { adversaries: 0.1, dropouts: 0.2 };
    const parameters = graphParameters(64, rates)!;
    expect(parameters).toEqual({ degree: 32, threshold: 20 });
    const graph = await neighbourhoods(members, parameters, counting(32));
    for (const member of members) {
      const neighbours = graph.neighbours(member);
      expect(new Set(neighbours).size).toBe(32);
      expect(neighbours).not.toContain(member);
      expect(graph.holders(member)).toEqual(neighbours);
      for (const other of neighbours) expect(graph.neighbours(other)).toContain(member);
    }
    const other = await neighbourhoods(members, parameters, counting(33).subarray(1));
    expect(other.neighbours('m00')).not.toEqual(graph.neighbours('m00'));
    const small = await neighbourhoods(members.slice(0, 5), graphParameters(5, rates)!, counting(32));
    expect(small.threshold('m00')).toBe(4);
    expect(small.neighbours('m02')).toEqual(['m00', 'm01', 'm03', 'm04']);
    expect(small.holders('m02')).toEqual(members.slice(0, 5));
    expect(graphParameters(3000, { adversaries: 0.4, dropouts: 0.3 })).toBeUndefined();
  });
});
