/**
 * A second bookkeeping of one run, from its durable events alone and without the round machine: who sent what, what was
 * counted, what was promised. It must find in the machine's decisions what a user would call a mistake.
 */

import type { AggregateWork, Member, RunEvent, UpdateReceived } from '../../src/federation/events.ts';
import type { RunPlan } from '../../src/federation/plan.ts';
import type { WireReceipt } from '../../src/federation/wire/messages.ts';
import type { KeptWatch } from './kept-watch.ts';
import type { MaskWatch } from './mask-watch.ts';
import type { Report } from './violation.ts';

interface Row {
  readonly seq: number;
  /** The round that was open then. */
  readonly openRound: number;
  readonly event: UpdateReceived;
}

export interface Committed {
  readonly round: number;
  readonly before: string;
  readonly params: string;
  readonly members: readonly Member[];
}

export interface Ledger {
  readonly plan: RunPlan | undefined;
  readonly committed: readonly Committed[];
  /** Status word of the run as its events say it. */
  readonly ended: 'finished' | 'cancelled' | undefined;
  durable(seq: number, event: RunEvent): void;
  /** Aggregation of a round was begun somewhere. */
  aggregating(work: AggregateWork): void;
  /** A receipt left a coordinator. */
  promised(receipt: WireReceipt): void;
  published(params: string): void;
  /** Digests of the updates of an owner that were accepted, in order. */
  acceptedOf(owner: string): readonly string[];
}

/** `trainingOf`: how an update came to be, as the trainers know. */
export function createLedger(
  report: Report,
  trainingOf: KeptWatch['trainingOf'],
  masks: Pick<MaskWatch, 'committed' | 'isVoid'>,
): Ledger {
  let plan: RunPlan | undefined;
  let ended: Ledger['ended'];
  const rows: Row[] = [];
  const examples = new Map<string, number>();
  /** Rejected updates since the last pardon, as sequence numbers. */
  const offences = new Map<string, number[]>();
  const works = new Map<number, AggregateWork>();
  const committed: Committed[] = [];
  const promises = new Map<string, WireReceipt>();

  function durable(seq: number, event: RunEvent): void {
    if ((event.type === 'created') !== (seq === 1)) report('journal', `entry ${seq} is "${event.type}"`);
    if (ended !== undefined && event.type !== 'resumed')
      report('journal', `"${event.type}" after the run was ${ended}`);
    switch (event.type) {
      case 'created':
        plan = event.plan;
        for (const { owner, numExamples } of plan.owners) examples.set(owner, numExamples);
        return;
      case 'owner-joined':
        examples.set(event.counts.owner, event.counts.numExamples);
        return;
      case 'owner-pardoned':
        offences.delete(event.owner);
        return;
      case 'update-received':
        rows.push({ seq, openRound: committed.length + 1, event });
        if (!event.check.ok) offences.set(event.owner, [...(offences.get(event.owner) ?? []), seq]);
        return;
      case 'aggregated':
        commit(event);
        return;
      case 'attempt-abandoned':
        if (event.passedOver === true) passOver(event.round);
        return;
      case 'published':
        ended = 'finished';
        return;
      case 'cancelled':
        ended = 'cancelled';
    }
  }

  function commit(event: Extract<RunEvent, { type: 'aggregated' }>): void {
    const { round } = event;
    const work = works.get(round);
    if (round !== committed.length + 1) {
      report('commit-once', `round ${round} was committed after round ${committed.length}`);
      return;
    }
    if (work?.membership !== event.membership) {
      report('commit-once', `round ${round} was committed with a membership that nobody aggregated`);
      return;
    }
    const before = committed.at(-1)?.params ?? plan!.initialParams;
    if (work.params !== before)
      report('commit-once', `round ${round} did not start from the params before it`);
    checkMembers(work);
    masks.committed(round, work.members);
    committed.push({ round, before, params: event.params, members: work.members });
    for (const receipt of promises.values()) checkPromise(receipt);
  }

  /** Nothing of it is used. */
  function passOver(round: number): void {
    if (round !== committed.length + 1)
      report('commit-once', `round ${round} was passed over after round ${committed.length}`);
    const before = committed.at(-1)?.params ?? plan!.initialParams;
    committed.push({ round, before, params: before, members: [] });
  }

  function checkMembers({ round, members }: AggregateWork): void {
    const { quorum, cohortSize } = plan!;
    const most = plan!.privacy?.poisson === undefined ? cohortSize : Number.POSITIVE_INFINITY;
    if (members.length < quorum || members.length > most)
      report('quorum', `round ${round} has ${members.length} members, quorum ${quorum} of ${cohortSize}`);
    for (const [i, member] of members.entries()) {
      if (i > 0 && members[i - 1]!.owner >= member.owner)
        report('members', `round ${round}: "${member.owner}" is there twice or out of order`);
      checkMember(round, member, members[0]!);
    }
  }

  function checkMember(round: number, member: Member, first: Member): void {
    const { owner, update } = member;
    const { mode, maxStaleness, quarantineAfter } = plan!.pace;
    const row = rows.find(({ event }) => event.owner === owner && event.update === update && event.check.ok);
    if (row === undefined) {
      report('members', `round ${round} counts an update of "${owner}" that never came`);
      return;
    }
    const trained = row.event.round;
    // What was accepted in time counts, even where the buffer was full and it had to wait for the next one.
    const oldest = mode === 'buffered' ? row.openRound - maxStaleness : round;
    if (trained < oldest || trained > row.openRound || row.openRound > round)
      report('members', `round ${round} counts an update of "${owner}" for round ${trained}`);
    const training = trainingOf(owner, update);
    const base = committed[trained - 2]?.params ?? plan!.initialParams;
    if (training?.round !== trained || training.params !== base)
      report(
        'members',
        `round ${round} counts an update of "${owner}" that was not trained for round ${trained}`,
      );
    for (const earlier of committed)
      if (earlier.members.some((other) => other.owner === owner && roundOf(other) === trained))
        report(
          'count-once',
          `"${owner}" for round ${trained} is counted in rounds ${earlier.round} and ${round}`,
        );
    const before = (offences.get(owner) ?? []).filter((seq) => seq < row.seq).length;
    if (quarantineAfter !== null && before >= quarantineAfter)
      report('quarantine', `"${owner}" is counted in round ${round} after ${before} rejected updates`);
    if (plan!.secureAggregation !== undefined) checkSettledWeight(member);
    else checkWeight(member, first, round - trained);
  }

  function roundOf({ owner, update }: Member): number | undefined {
    return rows.find(({ event }) => event.owner === owner && event.update === update)?.event.round;
  }

  function checkWeight(member: Member, first: Member, staleness: number): void {
    const { stalenessExponent } = plan!.pace;
    const fresh = freshOf(member);
    if (plan!.weighting === 'uniform') {
      if (fresh !== 1) report('weights', `"${member.owner}" counts ${fresh} where everybody counts 1`);
      return;
    }
    if (fresh * examples.get(first.owner)! !== freshOf(first) * examples.get(member.owner)!)
      report('weights', `"${member.owner}" counts ${fresh}, "${first.owner}" ${freshOf(first)}`);
    const expected = Math.max(1, Math.round(fresh * (1 + staleness) ** -stalenessExponent));
    if (member.aggregationWeight !== expected)
      report(
        'weights',
        `"${member.owner}" counts ${member.aggregationWeight}, ${staleness} rounds old: ${expected}`,
      );
  }

  /** Under masks weights are settled before: later owners count by the scale of the first ones, and no more than there is room. */
  function checkSettledWeight({ owner, aggregationWeight: weight }: Member): void {
    const [first] = plan!.owners;
    const scaled = (examples.get(owner)! * first!.aggregationWeight) / first!.numExamples;
    const isPlanned = plan!.owners.some((other) => other.owner === owner);
    if (isPlanned ? weight !== Math.round(scaled) : weight < 1 || weight > Math.max(1, Math.round(scaled)))
      report('weights', `"${owner}" counts ${weight}, by its examples ${scaled}`);
  }

  /** Before its round is committed a promised update waits; after it, it is counted (buffered: may wait on). */
  function checkPromise({ round, owner, update }: WireReceipt): void {
    if (masks.isVoid(owner, update)) return;
    const counted = committed.some(({ members }) =>
      members.some((member) => member.owner === owner && member.update === update),
    );
    if (!counted && plan!.pace.mode === 'synchronous' && committed.length >= round)
      report('acknowledged', `the update of "${owner}" for round ${round} was accepted, and is not counted`);
  }

  return {
    get plan() {
      return plan;
    },
    committed,
    get ended() {
      return ended;
    },
    durable,
    aggregating(work) {
      const known = works.get(work.round);
      if (known !== undefined && known.membership !== work.membership)
        report('commit-once', `round ${work.round} is aggregated from two memberships`);
      works.set(work.round, work);
    },
    promised(receipt) {
      if (!receipt.accepted) return;
      const { round, owner, update } = receipt;
      const isDurable = rows.some(
        ({ event }) =>
          event.owner === owner && event.round === round && event.update === update && event.check.ok,
      );
      if (!isDurable)
        report('acknowledged', `"${owner}" has a receipt for round ${round}, and no durable row`);
      promises.set(`${owner} ${round} ${update}`, receipt);
      if (plan !== undefined) checkPromise(receipt);
    },
    acceptedOf: (owner) =>
      rows.filter(({ event }) => event.owner === owner && event.check.ok).map(({ event }) => event.update),
    published(params) {
      if (params !== committed.at(-1)?.params)
        report('result', 'other params than the last round’s were published');
    },
  };
}

function freshOf({ aggregationWeight, freshWeight }: Member): number {
  return freshWeight ?? aggregationWeight;
}
