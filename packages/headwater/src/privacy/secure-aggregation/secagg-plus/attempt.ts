/**
 * One attempt from the first key to the sum, with the server in memory: members are asked together, who does not answer has
 * dropped out. For simulations and measurements; it keeps nothing, so that a crash loses the attempt.
 */

import { removeMasks } from '../mask-stream.ts';
import { addWords } from '../words.ts';
import type { Said, Told } from './member.ts';
import type { Advert, Attempt, Confirmation, SealedShares, Unmasking } from './messages.ts';
import {
  checkNewAdvert,
  checkShares,
  confirmationsFor,
  isConfirmed,
  sharesFor,
  survivorSets,
  withEnoughHolders,
  withoutEnoughHolders,
} from './server.ts';
import { areWhole, openSession, type Session, type Verify } from './session.ts';
import { type Blame, openMasks } from './unmask.ts';

/** A member as the server sees it; undefined: it does not answer, now or later. */
export interface Reached {
  advertise(): Promise<Advert | undefined>;
  ask(told: Told): Promise<Said | undefined>;
}

export type Outcome =
  | {
      readonly sum: Uint32Array;
      /** U3: whose vectors are in the sum. */
      readonly survivors: readonly string[];
      readonly blamed: readonly Blame[];
    }
  | { readonly sum: undefined; readonly reason: string };

export interface Timings {
  /** Called when a step is over. */
  readonly onStep?: (step: 'advertise' | Told['step'] | 'open') => void;
}

class Abandoned extends Error {}

/** Resolves with the exact sum, or with why there is none. */
export async function runAttempt(
  attempt: Attempt,
  members: ReadonlyMap<string, Reached>,
  verify: Verify,
  { onStep = () => {} }: Timings = {},
): Promise<Outcome> {
  try {
    return await run(attempt, members, verify, onStep);
  } catch (cause) {
    if (cause instanceof Abandoned) return { sum: undefined, reason: cause.message };
    throw cause;
  }
}

async function run(
  attempt: Attempt,
  members: ReadonlyMap<string, Reached>,
  verify: Verify,
  onStep: NonNullable<Timings['onStep']>,
): Promise<Outcome> {
  const adverts = await gatherAdverts(attempt, members, verify);
  enough(attempt, adverts.length, 'advertised keys');
  onStep('advertise');
  const session = await openSession(attempt, adverts);
  const shares = await gatherShares(session, members, adverts);
  const present = withEnoughHolders(session, Object.keys(shares).sort());
  enough(attempt, present.length, 'shared keys');
  demandWhole(session, present);
  onStep('share');
  const { sum, uploaded } = await gatherVectors(session, members, present, shares);
  const sets = survivorSets(present, uploaded);
  enough(attempt, sets.survivors.length, 'sent a vector');
  demandWhole(session, sets.survivors);
  demandHolders(session, present, sets.survivors);
  onStep('mask');
  const confirmations = await gatherConfirmations(
    session,
    members,
    sets.survivors,
    { ...sets, step: 'confirm' },
    verify,
  );
  demandHolders(
    session,
    present,
    confirmations.map(({ owner }) => owner),
  );
  onStep('confirm');
  const unmaskings = await gatherUnmaskings(session, members, confirmations);
  demandHolders(session, present, Object.keys(unmaskings));
  onStep('unmask');
  const opened = await openMasks(session, { sets, shares, unmaskings });
  if (opened.masks === undefined)
    throw new Abandoned(`secrets of ${opened.missing.join(', ')} cannot be opened`);
  await removeMasks(sum, opened.masks);
  onStep('open');
  return { sum, survivors: sets.survivors, blamed: opened.blamed };
}

function enough({ minOwners }: Attempt, count: number, did: string): void {
  if (count < minOwners) throw new Abandoned(`${count} ${did}, at least ${minOwners} must`);
}

function demandWhole(session: Session, members: readonly string[]): void {
  if (areWhole(session, members)) return;
  throw new Abandoned(`a group has fewer members left than the ${session.attempt.groupSize} of a sum`);
}

function demandHolders(session: Session, members: readonly string[], present: readonly string[]): void {
  const lacking = withoutEnoughHolders(session, members, present);
  if (lacking.length > 0)
    throw new Abandoned(
      `too few who hold shares of ${lacking.join(', ')} are left (${session.graph.threshold(lacking[0]!)} must)`,
    );
}

async function gatherAdverts(
  attempt: Attempt,
  members: ReadonlyMap<string, Reached>,
  verify: Verify,
): Promise<Advert[]> {
  const sent = await Promise.all(attempt.roster.map(({ owner }) => members.get(owner)?.advertise()));
  const adverts: Advert[] = [];
  for (const advert of sent)
    if (advert !== undefined && (await isFine(checkNewAdvert(attempt, adverts, advert, verify))))
      adverts.push(advert);
  return adverts;
}

function isFine(check: Promise<void>): Promise<boolean> {
  return check.then(
    () => true,
    () => false,
  );
}

async function asked(
  members: ReadonlyMap<string, Reached>,
  owners: readonly string[],
  told: (owner: string) => Told,
): Promise<{ readonly owner: string; readonly said: Said }[]> {
  const said = await Promise.all(owners.map((owner) => members.get(owner)?.ask(told(owner))));
  return owners.flatMap((owner, i) => (said[i] === undefined ? [] : [{ owner, said: said[i] }]));
}

async function gatherShares(
  session: Session,
  members: ReadonlyMap<string, Reached>,
  adverts: readonly Advert[],
): Promise<Record<string, SealedShares>> {
  const answers = await asked(members, session.members, () => ({ step: 'share', adverts }));
  const shares: Record<string, SealedShares> = {};
  for (const { owner, said } of answers) {
    if (said.step !== 'share') continue;
    if (await isFine((async () => checkShares(session, owner, said.message))())) shares[owner] = said.message;
  }
  return shares;
}

async function gatherVectors(
  session: Session,
  members: ReadonlyMap<string, Reached>,
  present: readonly string[],
  shares: Readonly<Record<string, SealedShares>>,
): Promise<{ readonly sum: Uint32Array; readonly uploaded: ReadonlySet<string> }> {
  const sum = new Uint32Array(session.attempt.length);
  const uploaded = new Set<string>();
  await Promise.all(
    present.map(async (owner) => {
      const said = await members
        .get(owner)
        ?.ask({ step: 'mask', ...sharesFor(session, owner, present, shares) });
      if (said?.step !== 'mask' || said.message?.length !== sum.length) return;
      addWords(sum, said.message);
      uploaded.add(owner);
    }),
  );
  return { sum, uploaded };
}

async function gatherConfirmations(
  session: Session,
  members: ReadonlyMap<string, Reached>,
  survivors: readonly string[],
  told: Told,
  verify: Verify,
): Promise<Confirmation[]> {
  const confirmations: Confirmation[] = [];
  for (const { owner, said } of await asked(members, survivors, () => told))
    if (said.step === 'confirm' && said.message.owner === owner)
      if (await isConfirmed(session, survivors, said.message, verify)) confirmations.push(said.message);
  return confirmations;
}

async function gatherUnmaskings(
  session: Session,
  members: ReadonlyMap<string, Reached>,
  confirmations: readonly Confirmation[],
): Promise<Record<string, Unmasking>> {
  const owners = confirmations.map(({ owner }) => owner);
  const told = (owner: string): Told => ({
    step: 'unmask',
    confirmations: confirmationsFor(session, owner, confirmations),
  });
  const answers = await asked(members, owners, told);
  return Object.fromEntries(
    answers.flatMap(({ owner, said }) => (said.step === 'unmask' ? [[owner, said.message]] : [])),
  );
}
