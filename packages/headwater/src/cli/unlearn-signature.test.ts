import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { fromBase64url } from '../base/base64url.ts';
import { ed25519FromSeed, ed25519Verify } from '../base/ed25519-node.ts';
import { openStorage } from '../coordinator/open-storage.ts';
import { openOperatorKey } from '../coordinator/operator-key.ts';
import { type Receipt, receiptBytes } from '../simulation/unlearning/receipt.ts';
import { signedReceipt } from './unlearn-signature.ts';

const folder = mkdtempSync(join(tmpdir(), 'headwater-receipt-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const receipt = { type: 'unlearned', version: 1, owner: 'ann', method: 'retrain', exact: true } as Receipt;

it('a receipt is signed by the operator of a store, or says that nobody signed it', async () => {
  expect(await signedReceipt(receipt, undefined)).toEqual({ receipt, operatorKey: null, signature: null });
  const place = join(folder, 'store');
  await expect(signedReceipt(receipt, place)).rejects.toThrow('no operator key');
  const { store, close } = await openStorage({ store: place, durability: 'none' });
  const signatures = { verify: ed25519Verify, signer: ed25519FromSeed };
  await openOperatorKey({ store, entropy: (size) => new Uint8Array(randomBytes(size)), signatures });
  await close();
  const { operatorKey, signature } = await signedReceipt(receipt, place);
  const holds = (signed: Receipt) =>
    ed25519Verify(fromBase64url(operatorKey!)!, receiptBytes(signed), fromBase64url(signature!)!);
  expect(await holds(receipt)).toBe(true);
  expect(await holds({ ...receipt, exact: false })).toBe(false);
});
