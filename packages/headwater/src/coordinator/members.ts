/**
 * Who belongs to a run: clients with their keys, and whose key speaks for an owner. Kept in memory by the process that leads
 * the run, every change written first. It knows no rounds.
 */

import { Refusal } from '../federation/wire/refusals.ts';
import type { Records } from '../storage/store.ts';
import { type ClientRecord, changeRecord, listRecords } from './records.ts';

export interface Members {
  client(clientId: string): ClientRecord | undefined;
  /** The client that speaks for the owner. */
  clientOf(owner: string): ClientRecord | undefined;
  all(): readonly ClientRecord[];
  /**
   * Takes a client in under the name (null: the next free `client-N`). An owner has one key: whoever spoke for it before
   * is not heard any more. Repeating it is fine.
   */
  admit(client: Omit<ClientRecord, 'owner' | 'revoked'>, owner: string | null): Promise<ClientRecord>;
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
  for (const { key, value } of await listRecords(records, 'owners', `${run}/`))
    owners.set(key.slice(run.length + 1), value.clientId);
  // A crash may have come between the two records of a client.
  for (const { owner, clientId, revoked } of clients.values())
    if (revoked === null && !owners.has(owner)) owners.set(owner, clientId);
  let nextNumber = owners.size + 1;
  let lastTurn: Promise<unknown> = Promise.resolve();

  function freeName(clientId: string): string {
    for (const [owner, id] of owners) if (id === clientId) return owner;
    while (owners.has(`client-${nextNumber}`)) nextNumber++;
    return `client-${nextNumber++}`;
  }

  async function write(client: ClientRecord): Promise<ClientRecord> {
    await changeRecord(records, 'clients', `${run}/${client.clientId}`, () => client);
    clients.set(client.clientId, client);
    return client;
  }

  async function bind(owner: string, clientId: string): Promise<void> {
    const before = owners.get(owner);
    await changeRecord(records, 'owners', `${run}/${owner}`, () => ({ clientId }));
    owners.set(owner, clientId);
    const replaced = before === undefined || before === clientId ? undefined : clients.get(before);
    if (replaced?.revoked === null) await write({ ...replaced, revoked: `another key joined as "${owner}"` });
  }

  async function admit(client: Omit<ClientRecord, 'owner' | 'revoked'>, owner: string | null) {
    const known = clients.get(client.clientId);
    if (known?.revoked === null && (owner === null || owner === known.owner)) {
      await bind(known.owner, known.clientId);
      return known;
    }
    if (known !== undefined && known.revoked !== null)
      throw new Refusal('revoked', `this key is not taken any more: ${known.revoked}`, {
        hint: 'Join with a new token; a new key is made for it.',
      });
    const name = owner ?? freeName(client.clientId);
    // The client first: an owner never points at nobody.
    const admitted = await write({ ...client, owner: name, revoked: null });
    await bind(name, client.clientId);
    return admitted;
  }

  /** One change of the members at a time, so that names are given once. */
  function inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = lastTurn.then(act, act);
    lastTurn = turn;
    return turn;
  }

  return {
    client: (clientId) => clients.get(clientId),
    clientOf: (owner) => clients.get(owners.get(owner) ?? ''),
    all: () => [...clients.values()],
    admit: (client, owner) =>
      inTurn(async () => {
        const admitted = await admit(client, owner);
        await confirm();
        return admitted;
      }),
    revoke: (clientId, reason) =>
      inTurn(async () => {
        const client = clients.get(clientId);
        if (client === undefined || client.revoked !== null) return client;
        const revoked = await write({ ...client, revoked: reason });
        await confirm();
        return revoked;
      }),
  };
}
