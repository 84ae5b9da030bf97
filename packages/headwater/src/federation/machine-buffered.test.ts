import { describe, expect, it } from 'vitest';
import { deploymentPlan, newWorld } from '../../test/support/fake-deployment.ts';
import { afterAnswers, trained } from '../../test/support/trained-update.ts';
import type { RunEvent } from './events.ts';
import { step } from './machine.ts';
import { outstandingWork } from './outstanding.ts';
import { awaits } from './rounds.ts';
import type { RunState } from './state.ts';
import { taskOf } from './tasks.ts';

describe('round machine in a deployment: buffered', () => {
  const plan = () =>
    deploymentPlan({ mode: 'buffered', asked: 4, maxStaleness: 1 }, { rounds: 6, cohortSize: 2 });
  const commit = (state: RunState): RunState => {
    const work = outstandingWork(state).find(({ kind }) => kind === 'aggregate')!;
    if (work.kind !== 'aggregate') throw new Error('no aggregation is due');
    const report = { totalWeight: 1, numUpdates: 1, clamped: 0, coordinates: 1, quantisationErrorBound: 0 };
    const { round, membership } = work;
    const params = `params ${round}`;
    return step(state, {
      type: 'aggregated',
      round,
      membership,
      params,
      serverState: null,
      report,
      aggregateNorm: 1,
    }).state;
  };

  it('each answer asks one more; a full buffer makes the next params; those under way go on', () => {
    const first = newWorld(plan()).state;
    const [a, b, c] = first.open!.cohort;
    const one = step(first, trained(first, a!)).state;
    expect(one.open!.cohort).toHaveLength(5);
    const two = step(one, trained(one, b!)).state;
    expect(two.open).toMatchObject({ phase: 'aggregating', members: [{ owner: a }, { owner: b }] });
    // Late for version 1, in time for the run.
    const waiting = step(two, trained(first, c!));
    expect(waiting.effects[0]).toMatchObject({ accepted: true });
    const second = commit(waiting.state);
    expect(second.open).toMatchObject({ round: 2, phase: 'training' });
    expect(Object.keys(second.open!.accepted)).toEqual([c]);
    expect(taskOf(second, c!)?.kind).not.toBe('train');
  });

  it('a stale update counts (1 + τ)^−exponent of its weight, and is divided by the whole', () => {
    let state = newWorld(plan()).state;
    const slow = state.open!.cohort[3]!;
    const stale = trained(state, slow);
    state = commit(afterAnswers(state, 2));
    state = step(state, stale).state;
    const fresh = state.open!.cohort.find((owner) => owner !== slow && awaits(state.open!, owner))!;
    state = step(state, trained(state, fresh)).state;
    const weight = state.roster[slow]!.aggregationWeight;
    const member = state.open!.members!.find(({ owner }) => owner === slow)!;
    expect(member).toMatchObject({ freshWeight: weight, aggregationWeight: Math.round(weight / Math.SQRT2) });
    expect(state.open!.members!.find(({ owner }) => owner === fresh)).not.toHaveProperty('freshWeight');
  });

  it('too stale, for a version to come, or for one that counted already: refused with a reason', () => {
    let state = newWorld(plan()).state;
    const [a] = state.open!.cohort;
    const old = trained(state, state.open!.cohort[3]!);
    state = commit(afterAnswers(state, 2));
    const codeOf = (event: RunEvent, now = state) =>
      step(now, event).effects.flatMap((effect) =>
        effect.kind === 'receipt' ? [[effect.accepted, effect.code]] : [],
      );
    expect(codeOf(trained(state, a!, { round: 3 }))).toEqual([[false, 'stale-round']]);
    expect(codeOf(trained(state, a!, { round: 1, update: 'another' }))).toEqual([[false, 'stale-round']]);
    expect(codeOf(trained(state, a!, { round: 1, update: `update ${a} 1` }))).toEqual([[true, null]]);
    expect(codeOf(old)).toEqual([[true, null]]);
    const later = commit(afterAnswers(commit(afterAnswers(state, 2)), 2));
    expect(codeOf(old, later)).toEqual([[false, 'stale-round']]);
  });

  it('who was refused is not asked again for the same version', () => {
    const state = newWorld(plan()).state;
    const outside = Object.keys(state.roster).find((owner) => !state.open!.cohort.includes(owner))!;
    const check = { ok: false, code: 'shape', reason: 'strange' } as const;
    let now = step(state, trained(state, outside, { check })).state;
    for (const owner of state.open!.cohort)
      now = step(now, { type: 'client-failed', round: 1, owner, reason: 'no' }).state;
    expect(now.open!.cohort).not.toContain(outside);
  });

  it('members do not depend on the order in which updates came, only on which came', () => {
    // Three are accepted while version 1 is aggregated: one more than the buffer of version 2 holds.
    const base = newWorld(plan()).state;
    const frozen = afterAnswers(base, 2);
    const rest = frozen.open!.cohort.filter((owner) => awaits(frozen.open!, owner)).slice(0, 3);
    const membersAfter = (order: readonly string[]) => {
      const state = commit(order.reduce((now, owner) => step(now, trained(base, owner)).state, frozen));
      return state.open!.members!.map(({ owner }) => owner);
    };
    expect(membersAfter(rest)).toHaveLength(2);
    expect(membersAfter([...rest].reverse())).toEqual(membersAfter(rest));
  });

  it('weights are planned so finely that staleness shows, and within the sums of a default recipe', () => {
    const owners = Array.from({ length: 10 }, (_, i) => ({
      owner: `o${i}`,
      numExamples: 900 + 7 * i,
      numTokens: 1,
    }));
    const { fixedPoint, owners: planned } = deploymentPlan({ mode: 'buffered' }, { owners, cohortSize: 5 });
    const weights = planned.map(({ aggregationWeight }) => aggregationWeight);
    const largest = [...weights]
      .sort((a, b) => b - a)
      .slice(0, 5)
      .reduce((sum, weight) => sum + weight, 0);
    expect(largest).toBeLessThanOrEqual(fixedPoint.maxTotalWeight);
    expect(Math.min(...weights)).toBeGreaterThan(10_000);
  });
});
