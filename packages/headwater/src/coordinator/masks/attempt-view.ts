/**
 * What was said in one attempt of SecAgg+, and what each of its owners is told next: a function of that and of the run's state. It
 * writes nothing and waits for nobody.
 */

import { awaits } from '../../federation/rounds.ts';
import { entryOf, type OpenRound, type RunState } from '../../federation/state.ts';
import type { SecureTold } from '../../federation/wire/secure-rounds.ts';
import type {
  Advert,
  Attempt,
  Confirmation,
  SealedShares,
  SurvivorSets,
  Unmasking,
} from '../../privacy/secure-aggregation/secagg-plus/messages.ts';
import {
  confirmationsFor,
  sharesFor,
  survivorSets,
  withoutEnoughHolders,
} from '../../privacy/secure-aggregation/secagg-plus/server.ts';
import { areWhole, openSession, type Session } from '../../privacy/secure-aggregation/secagg-plus/session.ts';

export interface AttemptView {
  readonly round: number;
  readonly number: number;
  begun: { readonly attempt: Attempt; readonly signature: string } | undefined;
  readonly adverts: Map<string, Advert>;
  readonly shares: Map<string, SealedShares>;
  /** U2, once fixed. */
  present: readonly string[] | undefined;
  readonly confirmations: Map<string, Confirmation>;
  readonly unmaskings: Map<string, Unmasking>;
  /** Who said that it leaves, in this process. */
  readonly left: Set<string>;
  /** Follows from the fixed keys. */
  session: Promise<Session> | undefined;
}

export function emptyView(round: number, number: number): AttemptView {
  return {
    ...{ round, number, begun: undefined, present: undefined, session: undefined },
    ...{ adverts: new Map(), shares: new Map(), confirmations: new Map(), unmaskings: new Map() },
    left: new Set(),
  };
}

/** U1 is fixed by the run's journal; its keys are in the view. Undefined: not yet. */
export function sessionOf(view: AttemptView, { keyed }: OpenRound): Promise<Session> | undefined {
  if (keyed === undefined || view.begun === undefined) return undefined;
  const adverts = keyed.flatMap((owner) => view.adverts.get(owner) ?? []);
  view.session ??= openSession(view.begun.attempt, adverts);
  return view.session;
}

/** Those of U2 whose vectors are in the sum, and the others. */
export function setsOf({ present }: AttemptView, { members }: OpenRound): SurvivorSets | undefined {
  if (present === undefined || members === null) return undefined;
  return survivorSets(present, new Set(members.map(({ owner }) => owner)));
}

/** Whether the survivors alone could open the masks of all of U2, and each group still has the owners of a sum. */
function isOpenable(session: Session, present: readonly string[], { survivors }: SurvivorSets): boolean {
  return areWhole(session, survivors) && withoutEnoughHolders(session, present, survivors).length === 0;
}

export interface Next {
  readonly told: SecureTold | null;
  readonly over: boolean;
}

const WAIT: Next = { told: null, over: false };
const OVER: Next = { told: null, over: true };
const tell = (told: SecureTold): Next => ({ told, over: false });

export async function nextFor(state: RunState, view: AttemptView, owner: string): Promise<Next> {
  const { open } = state;
  if (open === undefined || view.left.has(owner)) return OVER;
  if (open.phase === 'training') return whileTraining(view, open, owner);
  return open.phase === 'aggregating' ? whileOpening(view, open, owner) : OVER;
}

async function whileTraining(view: AttemptView, open: OpenRound, owner: string): Promise<Next> {
  if (entryOf(open.accepted, owner) !== undefined) return WAIT;
  if (!open.cohort.includes(owner) || !awaits(open, owner)) return OVER;
  const { begun } = view;
  if (open.keyed === undefined) {
    const isIn = begun?.attempt.roster.some((member) => member.owner === owner);
    return begun === undefined || isIn !== true || view.adverts.has(owner)
      ? WAIT
      : tell({ step: 'advertise', attempt: wireAttempt(begun.attempt), signature: begun.signature });
  }
  const session = await sessionOf(view, open);
  if (session === undefined || !open.keyed.includes(owner)) return OVER;
  if (view.present === undefined) {
    if (view.shares.has(owner)) return WAIT;
    return tell({ step: 'share', adverts: open.keyed.map((name) => ({ ...view.adverts.get(name)! })) });
  }
  if (!view.present.includes(owner)) return OVER;
  const { members, sealed } = sharesFor(session, owner, view.present, Object.fromEntries(view.shares));
  return tell({ step: 'mask', members: [...members], sealed: sealed.map((item) => ({ ...item })) });
}

async function whileOpening(view: AttemptView, open: OpenRound, owner: string): Promise<Next> {
  const [session, sets] = [await sessionOf(view, open), setsOf(view, open)];
  if (session === undefined || sets === undefined) return OVER;
  if (!sets.survivors.includes(owner) || view.unmaskings.has(owner)) return OVER;
  if (!view.confirmations.has(owner)) {
    // About to be given up: owners would refuse such a set.
    if (!isOpenable(session, view.present!, sets)) return WAIT;
    return tell({ step: 'confirm', survivors: [...sets.survivors], dropped: [...sets.dropped] });
  }
  const holders = session.graph.holders(owner);
  const confirmed = holders.filter((name) => view.confirmations.has(name));
  if (confirmed.length < session.graph.threshold(owner)) return WAIT;
  const confirmations = confirmationsFor(session, owner, [...view.confirmations.values()]);
  return tell({ step: 'unmask', confirmations: confirmations.map((item) => ({ ...item })) });
}

function wireAttempt({ roster, assumed, ...fields }: Attempt) {
  return { ...fields, assumed: { ...assumed }, roster: roster.map((member) => ({ ...member })) };
}
