/** What a sealed share is bound to: the session, who sent it and for whom. */

import { utf8ToBytes } from '@noble/hashes/utils.js';
import { canonicalJson } from '../../../base/canonical.ts';
import { labelledHash } from '../context.ts';
import type { Bytes } from '../hkdf.ts';

export function sharesContext(session: Uint8Array, from: string, to: string): Bytes {
  return labelledHash('share', session, utf8ToBytes(canonicalJson([from, to])));
}
