/**
 * Signed-in browsers of the operator: the admin token is exchanged once for a cookie that scripts cannot read and other
 * sites cannot use. Sessions live in this process only. It knows nothing of what a session may do.
 */

import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Clock } from '../../base/clock.ts';

export interface Sessions {
  /** The value of a `Set-Cookie` header. */
  open(secure: boolean): string;
  isOpen(headers: IncomingHttpHeaders): boolean;
  /** The `Set-Cookie` header that makes a browser forget it. */
  close(headers: IncomingHttpHeaders): string;
}

const COOKIE = 'headwater-session';
const LIFE_MS = 12 * 3_600_000;
/** More signed-in browsers than any operator has; the oldest is signed out. */
const MOST = 100;

/** `entropy`: from a CSPRNG. */
export function createSessions(clock: Clock, entropy: (bytes: number) => Uint8Array): Sessions {
  /** By digest, so that a heap dump tells no secret; the value is when it ends. */
  const ends = new Map<string, number>();

  function forgetOld(): void {
    for (const [key, endMs] of ends) if (endMs <= clock.nowMs() || ends.size >= MOST) ends.delete(key);
  }

  return {
    open(secure) {
      forgetOld();
      const secret = Buffer.from(entropy(32)).toString('base64url');
      ends.set(digestOf(secret), clock.nowMs() + LIFE_MS);
      return cookie(secret, LIFE_MS / 1000, secure);
    },
    isOpen(headers) {
      const secret = secretIn(headers);
      return secret !== undefined && (ends.get(digestOf(secret)) ?? 0) > clock.nowMs();
    },
    close(headers) {
      const secret = secretIn(headers);
      if (secret !== undefined) ends.delete(digestOf(secret));
      return cookie('', 0, false);
    },
  };
}

/** RFC 6265. `Path`: pages and their files need no cookie. */
function cookie(value: string, maxAgeSeconds: number, secure: boolean): string {
  const parts = [
    `${COOKIE}=${value}`,
    'Path=/admin',
    'HttpOnly',
    'SameSite=Strict',
    `Max-Age=${maxAgeSeconds}`,
  ];
  return [...parts, ...(secure ? ['Secure'] : [])].join('; ');
}

function secretIn({ cookie: text }: IncomingHttpHeaders): string | undefined {
  return new RegExp(`(?:^|; )${COOKIE}=([\\w-]{43})(?:;|$)`).exec(text ?? '')?.[1];
}

function digestOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/**
 * Whether a page of this very origin sends the request. SameSite takes other ports of the same host for the same site, so a
 * cookie alone does not show it: browsers say where a request comes from, and a request that says nothing came from none.
 */
export function isFromOwnPage(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin' || site === 'none';
  const { origin, host } = headers;
  return origin === undefined || URL.parse(origin)?.host === host;
}
