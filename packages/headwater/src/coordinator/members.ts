/**
 * Who belongs to a run: clients with their keys, and whose key speaks for an owner. Kept in memory by the process that leads
 * the run, every change written first. It knows no rounds.
 */

import { Refusal } from '../federation/wire/refusals.ts';
import { inTurn } from '../storage/in-turn.ts';
import type { Records } from '../storage/store.ts';
import { type ClientRecord, changeRecord, listRecords } from './records.ts';

type NewClient = Omit<ClientRecord, 'owner' | 'revoked'>;

export interface Members {
  client(clientId: string): ClientRecord | undefined;
  /** The client that speaks for the owner. */
  clientOf(owner: string): ClientRecord | undefined;
  all(): readonly ClientRecord[];
  /**
   * Takes a client in under the name (null: the next free `client-N`). An owner has one key: whoever spoke for it before
   * is not heard any more. Repeating it is fine. `signedMs`: when the client said so. What was long under way takes no name
   * from a key that has joined since: throws `clock-skew`.
   */
  admit(client: NewClient, owner: string | null, signedMs: number): Promise<ClientRecord>;
  /** Gives the client as it is now; undefined when there is none. */
  revoke(clientId: string, reason: string): Promise<ClientRecord | undefined>;
}

/** `confirm`: throws when another process leads the run, which then knows nothing of what was just written. */
export async function openMembers(
  records: Records,
  run: string,
  confirm: () => Promise<void>,
): Promise<Members> {
  const clients = new Map<string, ClientRecord>();
  const owners = new Map<string, string>();
  for (const { value } of await listRecords(records, 'clients', `${run}/`))
    clients.set(value.clientId, value);
  // A crash may have come between the two records of a client.
  for (const { key, value } of await listRecords(records, 'owners', `${run}/`))
    if (clients.has(value.clientId)) owners.set(key.slice(run.length + 1), value.clientId);
  for (const { owner, clientId, revoked } of clients.values())
    if (revoked === null && !owners.has(owner)) owners.set(owner, clientId);
  let nextNumber = owners.size + 1;
  // Thousands may join at once and share the store's writes: only changes of one client or one owner wait for each other.
  const turn = inTurn();

  function freeName(): string {
    while (owners.has(`client-${nextNumber}`)) nextNumber++;
    return `client-${nextNumber++}`;
  }

  /** At once: they share a write of the store. What is known here changes when all of it is written. */
  async function write(changed: readonly ClientRecord[], bound?: ClientRecord): Promise<void> {
    const writes: Promise<unknown>[] = changed.map((client) =>
      changeRecord(records, 'clients', `${run}/${client.clientId}`, () => client),
    );
    if (bound !== undefined)
      writes.push(
        changeRecord(records, 'owners', `${run}/${bound.owner}`, () => ({ clientId: bound.clientId })),
      );
    // Nobody else's turn comes while one of them is under way.
    await Promise.allSettled(writes);
    await Promise.all(writes);
    for (const client of changed) clients.set(client.clientId, client);
    if (bound !== undefined) owners.set(bound.owner, bound.clientId);
  }

  /** In the turns of the client and of the owner. */
  async function admitAs(client: NewClient, owner: string, signedMs: number): Promise<ClientRecord> {
    const bound = clients.get(owners.get(owner) ?? '');
    if (bound !== undefined && bound.clientId !== client.clientId && signedMs < bound.joinedMs)
      throw new Refusal('clock-skew', `the request was signed before another key joined as "${owner}"`, {
        serverTimeMs: client.joinedMs,
        hint: 'Sign it again by the time given.',
      });
    const known = clients.get(client.clientId);
    if (known !== undefined && known.revoked !== null)
      throw new Refusal('revoked', `this key is not taken any more: ${known.revoked}`, {
        hint: 'Join with a new token; a new key is made for it.',
      });
    const admitted = known?.owner === owner ? known : { ...client, owner, revoked: null };
    const changed: ClientRecord[] = admitted === known ? [] : [admitted];
    if (bound?.revoked === null && bound.clientId !== client.clientId)
      changed.push({ ...bound, revoked: `another key joined as "${owner}"` });
    await write(changed, admitted);
    return admitted;
  }

  /** Under the name that it has, or under one that nobody else takes meanwhile. */
  async function admitUnnamed(client: NewClient, signedMs: number): Promise<ClientRecord> {
    const known = clients.get(client.clientId);
    if (known !== undefined)
      return turn(`owner ${known.owner}`, () => admitAs(client, known.owner, signedMs));
    for (;;) {
      const name = freeName();
      const admitted = await turn(`owner ${name}`, async () =>
        owners.has(name) ? undefined : admitAs(client, name, signedMs),
      );
      if (admitted !== undefined) return admitted;
    }
  }

  return {
    client: (clientId) => clients.get(clientId),
    clientOf: (owner) => clients.get(owners.get(owner) ?? ''),
    all: () => [...clients.values()],
    admit: (client, owner, signedMs) =>
      turn(`client ${client.clientId}`, async () => {
        const admitted =
          owner === null
            ? await admitUnnamed(client, signedMs)
            : await turn(`owner ${owner}`, () => admitAs(client, owner, signedMs));
        await confirm();
        return admitted;
      }),
    revoke: (clientId, reason) =>
      turn(`client ${clientId}`, async () => {
        const client = clients.get(clientId);
        if (client === undefined || client.revoked !== null) return client;
        const revoked = { ...client, revoked: reason };
        await write([revoked]);
        await confirm();
        return revoked;
      }),
  };
}
