/**
 * The hash chain of a journal: link_n = SHA-256(link_{n−1} ‖ event_n), link_0 = 64 zeros, over lower-case hex and the
 * event's canonical JSON. A changed, missing, repeated or moved entry breaks it. It guards against damage, not forgery.
 */

import { createHash } from 'node:crypto';

export const FIRST_LINK = '0'.repeat(64);

export function nextLink(previous: string, eventText: string): string {
  return createHash('sha256').update(previous).update(eventText).digest('hex');
}
