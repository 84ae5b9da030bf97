/** The attempt that owners are asked into: who may take part, and the operator's signature on it. */

import { toBase64url } from '../../base/base64url.ts';
import { entryOf, type OpenRound, type RunState } from '../../federation/state.ts';
import { type Attempt, attemptBytes } from '../../privacy/secure-aggregation/secagg-plus/messages.ts';
import type { AttemptView } from './attempt-view.ts';
import { type SecureRoundsParts, write } from './secure-round-parts.ts';

/** Once for each attempt; before its keys are fixed. */
export async function beginAttempt(
  parts: SecureRoundsParts,
  state: RunState,
  open: OpenRound,
  known: AttemptView,
): Promise<void> {
  if (known.begun !== undefined || open.phase !== 'training' || open.keyed !== undefined) return;
  const attempt = await attemptFor(parts, state, open, known.number);
  const signature = toBase64url(await parts.sign(attemptBytes(attempt)));
  await write(parts, known, 'begun', { kind: 'begun', attempt, signature });
}

/** Among those who are asked and have a key. */
async function attemptFor(
  { run, members, maskFacts }: SecureRoundsParts,
  { plan }: RunState,
  open: OpenRound,
  attempt: number,
): Promise<Attempt> {
  const { words, layout } = await maskFacts(open.round);
  const roster = open.cohort.flatMap((owner) => {
    const client = entryOf(open.lost, owner) === undefined ? members.clientOf(owner) : undefined;
    return client === undefined || client.revoked !== null ? [] : [{ owner, identity: client.publicKey }];
  });
  const { assumed, groupSize } = plan.secureAggregation!;
  const about = { run, round: open.round, attempt, length: words, layout, minOwners: plan.quorum };
  const grouped = groupSize === undefined ? {} : { groupSize };
  return { ...about, ...grouped, assumed: assumed!, roster };
}
