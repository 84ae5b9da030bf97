/** One list of who takes part, from two: clients that joined, and owners as the run knows them. Pure. */

import type { OwnerRow } from '@headwater/runs/view/rows.ts';
import type { ClientSummary } from '@headwater/runs/view/summaries.ts';

export interface ClientRow {
  readonly key: string;
  readonly owner: string;
  readonly standing: ClientSummary['standing'] | 'revoked';
  /** Null: played by this machine. */
  readonly client: ClientSummary | null;
  /** Null: the run has not begun, or began without it. */
  readonly figures: OwnerRow | null;
  /** When something was heard of it. */
  readonly seenMs: number | null;
}

/** An owner that joined again has the client of before too, revoked or replaced: figures go to the newest. */
export function clientRows(clients: readonly ClientSummary[], owners: readonly OwnerRow[]): ClientRow[] {
  const newest = new Map<string, ClientSummary>();
  for (const client of clients.toSorted((a, b) => a.joinedMs - b.joinedMs))
    if (!client.revoked || !newest.has(client.owner)) newest.set(client.owner, client);
  const figures = new Map(owners.map((row) => [row.owner, row]));
  const joined = clients.map((client): ClientRow => {
    const own = newest.get(client.owner) === client ? (figures.get(client.owner) ?? null) : null;
    const standing = client.revoked ? 'revoked' : (own?.standing ?? client.standing);
    const seenMs = client.lastSeenMs ?? own?.lastMs ?? null;
    return { key: client.clientId, owner: client.owner, standing, client, figures: own, seenMs };
  });
  const virtual = owners
    .filter(({ owner }) => !newest.has(owner))
    .map((row): ClientRow => {
      const { owner, standing, lastMs } = row;
      return { key: owner, owner, standing, client: null, figures: row, seenMs: lastMs };
    });
  return [...joined, ...virtual].sort((a, b) => (a.owner < b.owner ? -1 : 1));
}

/** `headwater/0.1.0 (webgpu; chrome 140)` → program and device. */
export function softwareParts(software: string): {
  readonly program: string;
  readonly device: string | undefined;
} {
  const [, program = software, device] = /^([^(]*?)\s*(?:\(([^)]*)\))?$/.exec(software) ?? [];
  return { program, device: device === '' ? undefined : device };
}
