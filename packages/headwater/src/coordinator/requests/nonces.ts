/** Which nonces a client has used lately. Older requests are refused for their time, so that memory stays bounded. */

export type NonceVerdict = 'fresh' | 'used' | 'too-many';

export interface Nonces {
  /** Remembers it when it is fresh. */
  use(client: string, nonce: string, createdMs: number, nowMs: number): NonceVerdict;
}

const MAX_PER_CLIENT = 10_000;
/** Looking for old ones costs as much as there are: only when it pays. */
const PRUNE_FROM = 64;

/** `windowMs`: requests whose time is further off than this are refused anyway. */
export function createNonces(windowMs: number): Nonces {
  const clients = new Map<string, { readonly seen: Map<string, number>; pruneAt: number }>();
  return {
    use(client, nonce, createdMs, nowMs) {
      let known = clients.get(client);
      if (known === undefined) {
        known = { seen: new Map(), pruneAt: PRUNE_FROM };
        clients.set(client, known);
      }
      const { seen } = known;
      if (seen.has(nonce)) return 'used';
      if (seen.size >= known.pruneAt) {
        for (const [old, atMs] of seen) if (atMs < nowMs - windowMs) seen.delete(old);
        known.pruneAt = Math.max(PRUNE_FROM, 2 * seen.size);
      }
      if (seen.size >= MAX_PER_CLIENT) return 'too-many';
      seen.set(nonce, createdMs);
      return 'fresh';
    },
  };
}
