import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { fromBase64url } from '../base/base64url.ts';
import { ed25519FromSeed, ed25519Verify } from '../base/ed25519-node.ts';
import { openStorage } from '../coordinator/open-storage.ts';
import { openOperatorKey } from '../coordinator/operator-key.ts';
import { type Receipt, receiptBytes } from '../simulation/unlearning/receipt.ts';
import { receiptSigner } from './unlearn-signature.ts';

const folder = mkdtempSync(join(tmpdir(), 'headwater-receipt-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const receipt = { type: 'unlearned', version: 1, owner: 'ann', method: 'retrain', exact: true } as Receipt;

it('a receipt is signed by the operator of a store, or says that nobody signed it', async () => {
  const unsigned = await receiptSigner(undefined);
  expect(await unsigned(receipt)).toEqual({ receipt, operatorKey: null, signature: null });
  const place = join(folder, 'store');
  await expect(receiptSigner(place)).rejects.toThrow('no coordinator’s store');
  expect(existsSync(place)).toBe(false);
  const { store, close } = await openStorage({ store: place, durability: 'none' });
  await expect(receiptSigner(place)).rejects.toThrow('no operator key');
  const signatures = { verify: ed25519Verify, signer: ed25519FromSeed };
  await openOperatorKey({ store, entropy: (size) => new Uint8Array(randomBytes(size)), signatures });
  // While a coordinator serves it.
  const { operatorKey, signature } = await (await receiptSigner(place))(receipt);
  await close();
  const holds = (signed: Receipt) =>
    ed25519Verify(fromBase64url(operatorKey!)!, receiptBytes(signed), fromBase64url(signature!)!);
  expect(await holds(receipt)).toBe(true);
  expect(await holds({ ...receipt, exact: false })).toBe(false);
});
