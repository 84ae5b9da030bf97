/**
 * What releases cost, counted from the journal’s members and rows alone: each release is charged once to each owner in it, nobody more
 * often than the plan allows, and in a tree of noise nobody is counted twice.
 */

import type { RunEvent } from '../../src/federation/events.ts';
import type { RunState } from '../../src/federation/state.ts';
import { leavesOf } from '../exact-noise.ts';
import type { Committed } from './ledger.ts';
import type { Report } from './violation.ts';

type Aggregated = Extract<RunEvent, { type: 'aggregated' }>;

export interface ChargeWatch {
  /** An event that is durable; `state`: after it. */
  durable(event: RunEvent, committed: readonly Committed[], state: RunState): void;
}

export function watchCharges(report: Report): ChargeWatch {
  const charges = new Map<string, number>();
  /** In the tree that goes on. */
  const inTree = new Set<string>();
  let leaf = 0;
  let drawn: readonly string[] = [];

  function checkRow({ round, report: { release, numUpdates } }: Aggregated, { plan }: RunState): void {
    const { clipNorm, noiseMultiplier, poisson } = plan.privacy!;
    const isAsPlanned =
      release?.noise === 'secret' &&
      release.clipNorm === clipNorm &&
      release.noiseMultiplier === noiseMultiplier &&
      release.denominator === plan.cohortSize;
    if (!isAsPlanned) report('charge', `round ${round} was released with ${JSON.stringify(release)}`);
    if (release?.observed !== undefined) report('charge', `round ${round} tells what was before the noise`);
    if (poisson !== undefined && numUpdates !== 0)
      report('draws', `round ${round} tells that ${numUpdates} were counted`);
  }

  function checkTree(round: number, members: readonly string[], row: Aggregated, state: RunState): void {
    const { leaves } = state.plan.privacy!.tree!;
    const { tree } = row.report.release ?? {};
    if (tree?.leaf === 1) inTree.clear();
    else if (tree?.leaf !== leaf + 1) report('charge', `leaf ${tree?.leaf} of a tree follows leaf ${leaf}`);
    leaf = tree?.leaf ?? 0;
    if (leaf > leaves) report('charge', `round ${round} is leaf ${leaf} of a tree of ${leaves}`);
    if (tree?.nodes !== leavesOf(leaf).length)
      report('charge', `leaf ${leaf} is said to carry the noise of ${tree?.nodes} nodes`);
    for (const owner of members) {
      if (inTree.has(owner)) report('charge', `"${owner}" is twice in the tree of round ${round}`);
      inTree.add(owner);
    }
  }

  function charge(owners: readonly string[], { plan, roster, closed }: RunState): void {
    const { maxParticipations, poisson } = plan.privacy!;
    if (poisson !== undefined && closed.length > maxParticipations)
      report('charge', `${closed.length} releases, ${maxParticipations} are allowed`);
    for (const owner of owners) {
      const times = (charges.get(owner) ?? 0) + 1;
      charges.set(owner, times);
      if (poisson === undefined && times > maxParticipations)
        report('charge', `"${owner}" is in ${times} releases, ${maxParticipations} are allowed`);
    }
    for (const { owner, participations = 0 } of Object.values(roster))
      if (participations !== (charges.get(owner) ?? 0))
        report('charge', `"${owner}" was in ${charges.get(owner) ?? 0} releases, charged ${participations}`);
  }

  return {
    durable(event, committed, state) {
      const { privacy } = state.plan;
      if (privacy === undefined) return;
      if (event.type === 'cohort-drawn') drawn = event.owners;
      if (event.type !== 'aggregated') return;
      const members = committed.at(-1)!.members.map(({ owner }) => owner);
      checkRow(event, state);
      if (privacy.tree !== undefined) checkTree(event.round, members, event, state);
      for (const owner of members)
        if (privacy.poisson !== undefined && !drawn.includes(owner))
          report('draws', `round ${event.round} counts "${owner}", who was not drawn`);
      charge(members, state);
    },
  };
}
