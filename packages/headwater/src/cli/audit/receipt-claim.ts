/** A receipt of unlearning in a file, as an auditor of a log looks for it. It judges nothing. */

import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { fromBase64url } from '../../base/base64url.ts';
import { HeadwaterError } from '../../base/errors.ts';
import type { ReceiptClaim } from '../../federation/log/audit.ts';
import { receiptDigest } from '../../simulation/unlearning/log-receipt.ts';
import { type Receipt, receiptBytes } from '../../simulation/unlearning/receipt.ts';

const file = z.object({
  receipt: z.looseObject({ type: z.literal('unlearned') }),
  operatorKey: z.string().nullable(),
  signature: z.string().nullable(),
});

/** Throws OPTION_INVALID. */
export async function receiptClaim(from: string): Promise<ReceiptClaim> {
  const parsed = file.safeParse(await json(from));
  if (!parsed.success)
    throw new HeadwaterError('OPTION_INVALID', 'this is no receipt that headwater unlearn wrote', {
      where: from,
      hint: 'Give the receipt.json beside the adapter.',
    });
  const receipt = parsed.data.receipt as unknown as Receipt;
  const operatorKey = fromBase64url(parsed.data.operatorKey ?? '');
  const signature = fromBase64url(parsed.data.signature ?? '');
  const signed =
    parsed.data.signature === null || operatorKey === undefined || signature === undefined
      ? undefined
      : { operatorKey, signature };
  return { from, digest: receiptDigest(receipt), bytes: receiptBytes(receipt), signed };
}

async function json(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch(() => '');
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
