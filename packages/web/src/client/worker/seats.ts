/** The seats of this browser: one for each invitation, found again by the token’s digest. */

import { digestBytes } from '@headwater/base/canonical.ts';
import { HeadwaterError } from '@headwater/base/errors.ts';
import { parseJoinToken } from '@headwater/federation/wire/join-token.ts';
import type { Seat } from '../messages.ts';
import { type Database, durably, guarded } from './database.ts';

const ID_DIGITS = 32;

/** Latest first. */
export async function allSeats(database: Database): Promise<readonly Seat[]> {
  const seats = await guarded('read', () => database.getAll('seats'));
  return seats.sort((a, b) => b.createdMs - a.createdMs);
}

/** Throws OPTION_INVALID when it is forgotten. */
export async function readSeat(database: Database, id: string): Promise<Seat> {
  const seat = await guarded('read', () => database.get('seats', id));
  if (seat !== undefined) return seat;
  throw new HeadwaterError('OPTION_INVALID', 'this browser knows nothing of this invitation any more', {
    hint: 'Open the link of the invitation again.',
  });
}

export async function saveSeat(database: Database, seat: Seat): Promise<Seat> {
  await guarded('save', () => durably(database, 'seats', (store) => store.put(seat, seat.id)));
  return seat;
}

/** Throws OPTION_INVALID when it is no token. */
export async function seatOfToken(
  database: Database,
  { url, token }: { readonly url: string; readonly token: string },
): Promise<Seat> {
  parseJoinToken(token);
  const id = digestBytes(new TextEncoder().encode(token)).slice(0, ID_DIGITS);
  const found = await guarded('read', () => database.get('seats', id));
  if (found !== undefined) return found;
  return saveSeat(database, {
    ...{ id, url, token, createdMs: Date.now(), run: null, owner: null, state: 'looking' },
    ...{ policy: {}, mapping: {}, files: [], backend: null, outcome: null, hasResult: false },
  });
}
