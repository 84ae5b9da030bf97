import { describe, expect, it } from 'vitest';
import { countsOf, deploymentPlan, newWorld } from '../../test/support/fake-deployment.ts';
import { trained } from '../../test/support/trained-update.ts';
import type { Effect } from './events.ts';
import { step } from './machine.ts';
import type { RunPlan } from './plan.ts';
import type { RunState } from './state.ts';

type Checks = Pick<RunPlan, 'cohortChecks'>;
const CHECKS: Checks = { cohortChecks: { normFactor: 5 } };

/** A round in which owner i sends an update of length norms[i]; digests by the owner’s name unless given. */
function roundOf(norms: readonly number[], digests: readonly string[] = [], more: Checks = CHECKS) {
  const owners = norms.map((_, i) => countsOf(`o${i}`, 10));
  const sizes = { owners, cohortSize: norms.length, quorum: norms.length };
  let { state } = newWorld(deploymentPlan({ asked: norms.length }, { ...sizes, ...more }));
  let effects: readonly Effect[] = [];
  for (const [i, l2Norm] of norms.entries()) {
    const update = digests[i] ?? `digest of ${i}`;
    ({ state, effects } = step(state, trained(state, `o${i}`, { update, check: { ok: true, l2Norm } })));
  }
  return {
    state,
    work: effects.find(({ kind }) => kind === 'aggregate') as Extract<Effect, { kind: 'aggregate' }>,
  };
}

const counted = ({ open }: RunState) => open!.members!.map(({ owner }) => owner);

describe('checks of a whole round', () => {
  it('put an update aside that is longer than κ times the median, and keep the round', () => {
    const { state, work } = roundOf([1, 2, 1, 1.5, 11]);
    expect(counted(state)).toEqual(['o0', 'o1', 'o2', 'o3']);
    expect(work.excluded).toMatchObject([{ owner: 'o4', code: 'norm' }]);
    expect(state.open!.lost.o4).toContain('its length 11.0 is more than the 7.50');
    expect(state.roster.o4).toMatchObject({ standing: 'active', offences: 0 });
    expect(roundOf([1, 2, 1, 1.5, 7.4]).work.excluded).toBeUndefined();
  });

  it('not of fewer than five, of withheld lengths, or where the plan is an older one', () => {
    expect(counted(roundOf([1, 1, 1, 100]).state)).toHaveLength(4);
    expect(counted(roundOf([1, 1, 1, 1, 100], [], {}).state)).toHaveLength(5);
    expect(counted(roundOf([0, 0, 0, 1, 100]).state)).toHaveLength(5);
  });

  it('owners with more steps may send longer updates', () => {
    const localEpochs = { epochs: 1, batchSize: 1 };
    const owners = [1, 1, 1, 1, 30].map((numExamples, i) => countsOf(`o${i}`, numExamples));
    const change = { owners, cohortSize: 5, quorum: 5, ...CHECKS, localSteps: 100, localEpochs };
    let { state } = newWorld(deploymentPlan({ asked: 5 }, change));
    for (const i of owners.keys())
      state = step(state, trained(state, `o${i}`, { check: { ok: true, l2Norm: i === 4 ? 20 : 1 } })).state;
    expect(counted(state)).toHaveLength(5);
  });

  it('count equal bytes once, as the owner’s who sent them first; zeros are nobody’s', () => {
    const { state, work } = roundOf([1, 1, 1], ['x', 'y', 'x']);
    expect(counted(state)).toEqual(['o0', 'o1']);
    expect(work.excluded).toMatchObject([{ owner: 'o2', code: 'copy', of: 'o0' }]);
    expect(state.open!.lost.o2).not.toContain('o0');
    expect(counted(roundOf([0, 0, 1], ['z', 'z', 'y']).state)).toHaveLength(3);
    // Updates that do not depend on the data are no theft.
    expect(counted(roundOf([1, 1, 1], ['x', 'x', 'x']).state)).toHaveLength(3);
  });

  it('who was put aside is no member, and is asked again', () => {
    const { state, work } = roundOf([1, 2, 1, 1.5, 11]);
    const { round, membership, excluded } = work;
    const report = { totalWeight: 4, numUpdates: 4, clamped: 0, coordinates: 4, quantisationErrorBound: 0 };
    const told = { params: 'p', serverState: null, report, aggregateNorm: 1, excluded: excluded! };
    const next = step(state, { type: 'aggregated', round, membership, ...told }).state;
    expect(next.closed[0]!.members).not.toHaveProperty('o4');
    expect(next.closed[0]!.excluded).toEqual(['o4']);
    expect(next.open!.excluded).toBeUndefined();
    expect(next.roster.o4!.lastRound).toBe(0);
  });
});
