import { describe, expect, it } from 'vitest';
import { hpkeOpen, hpkeSeal } from '../hpke.ts';
import { keyAgreement } from '../key-agreement.ts';
import {
  maskKeyOf,
  openSeed,
  SEALED_SEED_BYTES,
  sealSeed,
  signedBytes,
  type TwoServerContext,
  twoServerContext,
} from './envelope.ts';

const hex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
const bytes = (value: number) => new Uint8Array(32).fill(value);

/** RFC 9180, appendix A.1.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, base mode, first message. */
const RFC_9180 = {
  info: hex('4f6465206f6e2061204772656369616e2055726e'),
  ephemeral: hex('52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736'),
  publicKey: hex('3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d'),
  secret: hex('4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8'),
  aad: hex('436f756e742d30'),
  text: hex('4265617574792069732074727574682c20747275746820626561757479'),
  sealed: hex(
    '37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431' +
      'f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a',
  ),
};
const AES_128_GCM = { id: 1, keyBytes: 16 };

describe('hybrid public-key encryption', () => {
  it('gives the bytes of RFC 9180 and opens them', async () => {
    const { publicKey, secret, ephemeral, text, sealed, ...message } = RFC_9180;
    expect(await hpkeSeal(publicKey, message, text, ephemeral, AES_128_GCM)).toEqual(sealed);
    expect(await hpkeOpen(secret, message, sealed, AES_128_GCM)).toEqual(text);
  });

  it('opens nothing that was changed, or is for somebody else', async () => {
    const { publicKey, secret, ephemeral, text, ...message } = RFC_9180;
    const sealed = await hpkeSeal(publicKey, message, text, ephemeral);
    expect(await hpkeOpen(secret, message, sealed)).toEqual(text);
    for (const at of [0, 31, 32, sealed.length - 1]) {
      const bent = sealed.slice();
      bent[at]! ^= 1;
      expect(await hpkeOpen(secret, message, bent)).toBeUndefined();
    }
    expect(await hpkeOpen(bytes(9), message, sealed)).toBeUndefined();
    expect(await hpkeOpen(secret, { ...message, aad: hex('00') }, sealed)).toBeUndefined();
    expect(await hpkeOpen(secret, message, sealed.subarray(0, 40))).toBeUndefined();
  });

  it('refuses a public key of low order', async () => {
    const { ephemeral, text, ...message } = RFC_9180;
    await expect(hpkeSeal(bytes(0), message, text, ephemeral)).rejects.toMatchObject({
      code: 'SECURE_AGGREGATION_ABORTED',
    });
  });
});

const CONTEXT: TwoServerContext = {
  ...{ run: 'demo', round: 2, attempt: 1, operator: 'o', helper: 'h', minUpdates: 3, groupSize: null },
  ...{ base: 'b', words: 10, layout: 'l' },
};

describe('the sealed seed of a mask', () => {
  it('opens for the helper alone, in its own round, for its own owner and update', async () => {
    const helper = await (await keyAgreement()).publicKey(bytes(7));
    const context = twoServerContext(CONTEXT);
    const submission = { owner: 'ann', update: 'ab' };
    const sealed = await sealSeed(helper, context, submission, bytes(1), bytes(2));
    expect(sealed.byteLength).toBe(SEALED_SEED_BYTES);
    expect(await openSeed(bytes(7), context, submission, sealed)).toEqual(bytes(1));
    for (const change of [{ round: 3 }, { attempt: 2 }, { run: 'other' }, { minUpdates: 2 }, { layout: 'm' }])
      expect(
        await openSeed(bytes(7), twoServerContext({ ...CONTEXT, ...change }), submission, sealed),
      ).toBeUndefined();
    expect(await openSeed(bytes(7), context, { ...submission, owner: 'ben' }, sealed)).toBeUndefined();
    expect(await openSeed(bytes(7), context, { ...submission, update: 'ac' }, sealed)).toBeUndefined();
    expect(await openSeed(bytes(8), context, submission, sealed)).toBeUndefined();
  });

  it('is signed as it is, and gives another mask in another round', () => {
    const [here, there] = [twoServerContext(CONTEXT), twoServerContext({ ...CONTEXT, round: 3 })];
    expect(maskKeyOf(bytes(1), here)).not.toEqual(maskKeyOf(bytes(1), there));
    const signed = (owner: string, seal: number) =>
      Buffer.from(signedBytes(here, { owner, update: 'ab' }, bytes(seal))).toString('hex');
    expect(new Set([signed('ann', 1), signed('ann', 2), signed('ben', 1)]).size).toBe(3);
  });
});
