/** What an owner says in an attempt: checked against what was said before, and written down once. It moves nothing on. */

import { HeadwaterError } from '../../base/errors.ts';
import { printable } from '../../base/printable.ts';
import type { OpenRound } from '../../federation/state.ts';
import type { SecureSaid } from '../../federation/wire/secure-rounds.ts';
import {
  checkNewAdvert,
  checkShares,
  isConfirmed,
} from '../../privacy/secure-aggregation/secagg-plus/server.ts';
import type { Session } from '../../privacy/secure-aggregation/secagg-plus/session.ts';
import { apply } from './attempt-records.ts';
import { type AttemptView, sessionOf, setsOf } from './attempt-view.ts';
import { lose, type SecureRoundsParts, wakeAll, write } from './secure-round-parts.ts';

/** Where something is said: the open round and what was said in its attempt. */
export interface Stand {
  readonly open: OpenRound;
  readonly known: AttemptView;
}

/** Throws SECURE_AGGREGATION_ABORTED for what is wrong; what comes too late is passed over. */
export async function take(
  parts: SecureRoundsParts,
  { open, known }: Stand,
  owner: string,
  said: SecureSaid,
): Promise<void> {
  const { begun } = known;
  if (begun === undefined) return;
  if (said.step === 'leave') return leave(parts, { open, known }, owner, printable(said.message.reason));
  if (said.step === 'advertise') {
    if (open.keyed !== undefined || said.message.owner !== owner) return;
    const others = [...known.adverts.values()].filter((advert) => advert.owner !== owner);
    await checkNewAdvert(begun.attempt, others, said.message, parts.verify);
    const record = { kind: 'advert', advert: said.message } as const;
    await parts.records.replace(known, `advert/${owner}`, record);
    return apply(known, record);
  }
  const session = await sessionOf(known, open);
  if (session !== undefined) await takeInSession(parts, { open, known }, session, owner, said);
}

async function takeInSession(
  parts: SecureRoundsParts,
  { open, known }: Stand,
  session: Session,
  owner: string,
  said: Exclude<SecureSaid, { step: 'leave' | 'advertise' }>,
): Promise<void> {
  if (said.step === 'share') {
    if (known.present !== undefined || known.shares.has(owner) || !session.members.includes(owner)) return;
    checkShares(session, owner, said.message);
    return write(parts, known, `shares/${owner}`, { kind: 'shares', owner, shares: said.message });
  }
  const sets = setsOf(known, open);
  if (sets === undefined || !sets.survivors.includes(owner)) return;
  if (said.step === 'unmask') {
    if (known.unmaskings.has(owner)) return;
    const record = { kind: 'unmasked', owner, unmasking: said.message } as const;
    return write(parts, known, `unmasked/${owner}`, record);
  }
  if (said.message.owner !== owner || known.confirmations.has(owner)) return;
  if (!(await isConfirmed(session, sets.survivors, said.message, parts.verify)))
    throw new HeadwaterError('SECURE_AGGREGATION_ABORTED', 'it did not sign these survivors');
  await write(parts, known, `confirmed/${owner}`, { kind: 'confirmed', confirmation: said.message });
  wakeAll(parts, session.graph.holders(owner));
}

async function leave(
  parts: SecureRoundsParts,
  { open, known }: Stand,
  owner: string,
  reason: string,
): Promise<void> {
  known.left.add(owner);
  parts.log.warn('left-attempt', { run: parts.run, round: open.round, owner, reason });
  if (open.phase === 'training') await lose(parts, open, [owner], reason);
}
