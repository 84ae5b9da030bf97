/** An owner says how much data it has: before the run begins it is counted in, afterwards it joins late or comes back. */

import type { OwnerCounts } from '../../../federation/plan.ts';
import { entryOf, type RosterEntry, type RunState } from '../../../federation/state.ts';
import type { WireResponse } from '../../../federation/wire/transport.ts';
import type { LedRun } from '../../lead/led-run.ts';
import { jsonAnswer } from '../answers.ts';
import type { ClientCall, HandlerContext } from '../calls.ts';

export async function enrol(
  { parts }: HandlerContext,
  { led, client, body }: ClientCall<'enrol'>,
): Promise<WireResponse> {
  const { owner } = client;
  const { lostState, ...figures } = body;
  const counts: OwnerCounts = { owner, ...figures };
  if (led.state === undefined && led.record.over === null) {
    await led.waitingRoom.enrol(counts);
    const owners = led.waitingRoom.numOwners;
    parts.log.info('enrolled', { run: led.run, owner, owners, numExamples: counts.numExamples });
    parts.observe?.({ type: 'enrolled', run: led.run, owner, owners });
    led.waitingRoom.tryToBegin();
  }
  // It may have begun meanwhile, with this owner or without.
  if (led.state !== undefined) await enrolLate(led, led.state, counts, lostState);
  const standing = entryOf(led.state?.roster ?? {}, owner)?.standing ?? 'waiting';
  return jsonAnswer({ standing, status: led.status() });
}

async function enrolLate(
  led: LedRun,
  state: RunState,
  counts: OwnerCounts,
  lostState: boolean,
): Promise<void> {
  const known = entryOf(state.roster, counts.owner);
  const asBefore = known !== undefined && known.standing !== 'left' && sameCounts(known, counts);
  if (state.status !== 'running' || (asBefore && !lostState)) return;
  await led.submit({ type: 'owner-joined', counts, observed: { lostState } });
}

function sameCounts(known: RosterEntry, counts: OwnerCounts): boolean {
  return (
    known.numExamples === counts.numExamples &&
    known.numTokens === counts.numTokens &&
    known.heldOut?.validation === counts.heldOut?.validation &&
    known.heldOut?.test === counts.heldOut?.test
  );
}
