import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  apply,
  deploymentPlan,
  eventOf,
  heal,
  type Move,
  newWorld,
} from '../../../test/support/fake-deployment.ts';
import type { RunEvent } from '../../federation/events.ts';
import { replay } from '../../federation/machine.ts';
import { metricsOf } from '../metrics.ts';
import { createRunFold, type RunFold } from './fold.ts';
import type { RunChanges } from './rows.ts';

const moves = fc.array(fc.tuple(fc.nat(4000), fc.nat(4000), fc.nat(4000)), { maxLength: 120, size: 'max' });

/** The events that a journal would hold, a second apart. */
function journalOf(list: readonly Move[], mode: 'synchronous' | 'buffered' = 'synchronous'): RunEvent[] {
  const world = newWorld(deploymentPlan({ mode }, { rounds: 4 }));
  for (const move of list) {
    const event = eventOf(world, move);
    if (event !== undefined) apply(world, event);
  }
  heal(world, () => true, 2000);
  return world.events.map((event, i) => ({ ...event, observed: { endedMs: 1000 * (i + 1), tookMs: 500 } }));
}

function folded(events: readonly RunEvent[], fold: RunFold = createRunFold()): RunFold {
  events.forEach((event, i) => {
    if (i >= fold.seq) fold.add(i + 1, event);
  });
  return fold;
}

/** What a page holds after it was told the changes. */
function merged(before: RunChanges, changes: RunChanges): unknown {
  const rows = <T>(old: readonly T[], fresh: readonly T[], keyOf: (row: T) => unknown) => [
    ...new Map([...old, ...fresh].map((row) => [keyOf(row), row])).values(),
  ];
  return {
    seq: changes.seq,
    frame: changes.frame ?? before.frame,
    totals: changes.totals ?? before.totals,
    rounds: rows(before.rounds, changes.rounds, ({ round }) => round),
    owners: rows(before.owners, changes.owners, ({ owner }) => owner),
    evaluations: rows(before.evaluations, changes.evaluations, ({ id }) => id),
    updates: [...(before.updates ?? []), ...(changes.updates ?? [])],
  };
}

describe('the rows of a run', () => {
  it('are the same whether a page saw everything or was away and told what changed', () => {
    fc.assert(
      fc.property(moves, fc.constantFrom('synchronous', 'buffered'), fc.nat(), (list, mode, cut) => {
        const events = journalOf(list, mode);
        const fold = folded(events.slice(0, 1 + (cut % events.length)));
        const before = fold.changesAfter(0);
        folded(events, fold);
        expect(merged(before, fold.changesAfter(before.seq))).toEqual(fold.changesAfter(0));
        expect(fold.changesAfter(0)).toEqual(folded(events).changesAfter(0));
      }),
      { numRuns: 60, seed: 1 },
    );
  });

  it('agree with the figures of the report', () => {
    fc.assert(
      fc.property(moves, (list) => {
        const events = journalOf(list);
        const { rounds, totals } = folded(events).changesAfter(0);
        const metrics = metricsOf(events).filter((metric) => metric.type === 'round');
        const closed = rounds.filter(
          ({ phase, aggregateNorm }) => phase === 'closed' && aggregateNorm !== null,
        );
        expect(new Set(closed.map(({ round }) => round))).toEqual(new Set(metrics.map(({ round }) => round)));
        const state = replay(events);
        const members = state.closed.map((row) => Object.keys(row.members).length);
        expect(closed.map((row) => row.accepted)).toEqual(members);
        expect(totals).toMatchObject({ status: state.status, closedRounds: members.length });
      }),
      { numRuns: 60, seed: 2 },
    );
  });

  it('give the time of a round to its phases, and none in which the run stood still', () => {
    const events = journalOf([]);
    const { rounds, frame } = folded(events).changesAfter(0);
    expect(frame).toMatchObject({ rounds: 4, startedMs: 1000 });
    const spent = rounds.map(({ phaseMs }) => phaseMs.training + phaseMs.aggregating + phaseMs.validating);
    expect(rounds[1]!.openedMs - rounds[0]!.openedMs).toBe(spent[0]);
    const gap = events.findIndex(({ type }) => type === 'update-received');
    const late = (event: RunEvent) => ({
      ...event,
      observed: { endedMs: (event.observed as { endedMs: number }).endedMs + 3_600_000 },
    });
    const resumed: RunEvent = { type: 'resumed', observed: { endedMs: 1000 * gap + 3_600_000 } };
    const halted = [...events.slice(0, gap), resumed, ...events.slice(gap).map(late)];
    expect(
      folded(halted)
        .changesAfter(0)
        .rounds.map(({ phaseMs }) => phaseMs),
    ).toEqual(rounds.map(({ phaseMs }) => phaseMs));
  });

  it('say why an update was refused and who sent it, and tell no loss that its owner kept', () => {
    const events = journalOf([]);
    const at = events.findIndex(({ type }) => type === 'update-received');
    const update = events[at] as Extract<RunEvent, { type: 'update-received' }>;
    const { stats } = update;
    const silent = { ...update, stats: { ...stats, meanLoss: null, lastLoss: null } };
    const bad = { ...update, check: { ok: false, code: 'norm', reason: 'too long' } as const };
    const fold = folded([events[0]!, silent]);
    expect(fold.updates({ owner: update.owner })).toMatchObject([{ accepted: true, meanLoss: null }]);
    expect(fold.changesAfter(1).rounds[0]).toMatchObject({ accepted: 1, meanLoss: null });
    const refused = folded([events[0]!, bad]).changesAfter(0);
    expect(refused.owners.find(({ owner }) => owner === update.owner)).toMatchObject({
      refused: 1,
      offences: 1,
      lastRefusal: { round: 1, code: 'norm', reason: 'too long' },
    });
    expect(refused.totals).toMatchObject({ refused: 1, accepted: 0 });
  });

  it('keep to themselves in large runs who sent what, until asked', () => {
    const owners = Array.from({ length: 21 }, (_, i) => ({ owner: `o${i}`, numExamples: 3, numTokens: 30 }));
    const world = newWorld(deploymentPlan({ asked: 21 }, { owners, cohortSize: 21, quorum: 21, rounds: 1 }));
    heal(world, () => true, 2000);
    const fold = folded(world.events);
    expect(fold.changesAfter(0)).toMatchObject({ updates: null });
    expect(fold.updates({ round: 1 })).toHaveLength(21);
    expect(fold.updates({ round: 1, owner: 'o3' })).toHaveLength(1);
  });

  it('tell what privacy has cost of what an owner can spend, and claim nothing for simulated noise', () => {
    const privacy = { clipNorm: 1, noiseMultiplier: 1, maxParticipations: 4, delta: 1e-5 };
    const world = newWorld(deploymentPlan({}, { privacy, rounds: 4, weighting: 'uniform' }));
    heal(world, () => true, 2000);
    const noisy = (noise: 'secret' | 'simulated') =>
      world.events.map((event): RunEvent => {
        if (event.type !== 'aggregated') return event;
        const figures = { clipNorm: 1, noiseMultiplier: 1, denominator: 3, sensitivity: 1, noiseStd: 1 };
        return { ...event, report: { ...event.report, release: { noise, ...figures } } };
      });
    const after = (events: readonly RunEvent[]) => folded(events).changesAfter(0).totals!.privacy!;
    expect(after(world.events.slice(0, 1))).toMatchObject({ epsilon: null, releases: 0, statement: null });
    const { epsilon, mostEpsilon, releases, statement } = after(noisy('secret'));
    expect(releases).toBe(4);
    expect(epsilon).toBeGreaterThan(0);
    expect(epsilon).toBeLessThanOrEqual(mostEpsilon!);
    expect(statement).toMatch(/^\(ε, δ\) = /);
    expect(after(noisy('simulated'))).toMatchObject({
      ...{ epsilon: null, mostEpsilon: null, releases: 4 },
      statement: expect.stringMatching(/^SIMULATED/),
    });
  });
});
