import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  apply,
  countsOf,
  deploymentPlan,
  eventOf,
  heal,
  type Move,
  newWorld,
  type World,
} from '../../test/support/fake-deployment.ts';
import { canonicalJson } from '../base/canonical.ts';
import type { Effect, RunEvent } from './events.ts';
import { replay, type Step, step } from './machine.ts';
import { liveBlobs, outstandingWork } from './outstanding.ts';
import type { RunPlan } from './plan.ts';
import { awaits } from './rounds.ts';
import type { RunState } from './state.ts';
import { taskOf } from './tasks.ts';

const moves = fc.array(fc.tuple(fc.nat(4000), fc.nat(4000), fc.nat(4000)), {
  maxLength: 150,
  size: 'max',
});

const PLANS: readonly (readonly [string, () => RunPlan])[] = [
  ['synchronous', () => deploymentPlan()],
  [
    'synchronous with early stopping',
    () =>
      deploymentPlan({}, { rounds: 5, keepBest: true, earlyStopping: { patienceRounds: 2, minDelta: 0 } }),
  ],
  [
    'synchronous, everybody needed',
    () => deploymentPlan({ asked: 6 }, { cohortSize: 6, quorum: 6, rounds: 2 }),
  ],
  ['buffered', () => deploymentPlan({ mode: 'buffered' }, { rounds: 5 })],
  [
    'buffered with early stopping',
    () =>
      deploymentPlan(
        { mode: 'buffered', asked: 6 },
        { rounds: 6, cohortSize: 2, quorum: 1, earlyStopping: { patienceRounds: 3, minDelta: 0 } },
      ),
  ],
];

const plans = fc.constantFrom(...PLANS);

function play(
  world: World,
  list: readonly Move[],
  watch: (before: RunState, event: RunEvent, after: Step) => void,
) {
  for (const move of list) {
    const event = eventOf(world, move);
    if (event === undefined) continue;
    const before = world.state;
    watch(before, event, apply(world, event));
  }
}

/** A snapshot: written canonically, so keys come back in another order. */
function thawed(state: RunState): RunState {
  return JSON.parse(canonicalJson(state)) as RunState;
}

function idsOf(effects: readonly Effect[]): string[] {
  return effects.flatMap((effect) => (effect.kind === 'receipt' ? [] : [effect.id]));
}

describe('round machine in a deployment: whatever happens', () => {
  it('the state is the replay of its events, and a snapshot at any point changes nothing afterwards', () => {
    fc.assert(
      fc.property(plans, moves, ([, plan], list) => {
        const world = newWorld(plan());
        play(world, list, (before, event, after) => {
          const again = step(thawed(before), event);
          expect(canonicalJson(again.state)).toBe(canonicalJson(after.state));
          expect(canonicalJson(again.effects)).toBe(canonicalJson(after.effects));
        });
        expect(canonicalJson(replay(world.events))).toBe(canonicalJson(world.state));
        const cut = 1 + Math.floor(world.events.length / 2);
        const snapshot = thawed(replay(world.events.slice(0, cut)));
        expect(canonicalJson(replay(world.events.slice(cut), snapshot))).toBe(canonicalJson(world.state));
      }),
      { numRuns: 100 },
    );
  });

  it('events that change nothing leave the same object, and effects are what is newly needed', () => {
    fc.assert(
      fc.property(plans, moves, ([, plan], list) => {
        play(newWorld(plan()), list, (before, _event, { state, effects }) => {
          if (canonicalJson(state) === canonicalJson(before)) expect(state).toBe(before);
          const known = new Set(outstandingWork(before).map(({ id }) => id));
          const added = outstandingWork(state).filter(({ id }) => !known.has(id));
          expect(idsOf(effects)).toEqual(added.map(({ id }) => id));
        });
      }),
      { numRuns: 100 },
    );
  });

  it('rounds close once and in order; an owner counts at most once in a round, an update at most once at all', () => {
    fc.assert(
      fc.property(plans, moves, ([, plan], list) => {
        const world = newWorld(plan());
        play(world, list, (before, _event, { state }) => {
          expect(state.closed.slice(0, before.closed.length)).toEqual(before.closed);
          expect(state.closed.length - before.closed.length).toBeLessThanOrEqual(1);
        });
        const { closed } = world.state;
        expect(closed.map(({ round }) => round)).toEqual(closed.map((_, i) => i + 1));
        const counted = closed.flatMap(({ members }) =>
          Object.entries(members).map((pair) => pair.join(' ')),
        );
        expect(new Set(counted).size).toBe(counted.length);
      }),
      { numRuns: 100 },
    );
  });

  it('nothing that was acknowledged is lost: it waits in the open round until it is counted', () => {
    fc.assert(
      fc.property(plans, moves, ([, plan], list) => {
        const acknowledged = new Set<string>();
        play(newWorld(plan()), list, (_before, _event, { state, effects }) => {
          for (const effect of effects)
            if (effect.kind === 'receipt' && effect.accepted)
              acknowledged.add(`${effect.owner} ${effect.update}`);
          if (state.status !== 'running' || state.open === undefined) return;
          const kept = new Set<string>();
          for (const { members } of state.closed)
            for (const [owner, update] of Object.entries(members)) kept.add(`${owner} ${update}`);
          for (const [owner, { update }] of Object.entries(state.open.accepted))
            kept.add(`${owner} ${update}`);
          expect(kept).toEqual(acknowledged);
        });
      }),
      { numRuns: 100 },
    );
  });

  it('only active owners are waited for; tasks are what is outstanding', () => {
    fc.assert(
      fc.property(plans, moves, ([, plan], list) => {
        play(newWorld(plan()), list, (_before, _event, { state }) => {
          const { open } = state;
          if (open?.phase === 'training' && state.status === 'running')
            for (const owner of open.cohort)
              if (awaits(open, owner)) expect(state.roster[owner]?.standing).toBe('active');
          const asked = outstandingWork(state).filter(({ kind }) => kind === 'train');
          const tasks = Object.keys(state.roster).flatMap((owner) => taskOf(state, owner) ?? []);
          const trained = tasks.filter(({ kind }) => kind === 'train');
          const sorted = (list: readonly { id: string }[]) => list.map(({ id }) => id).sort();
          expect(sorted(trained)).toEqual(state.paused === null ? sorted(asked) : []);
        });
      }),
      { numRuns: 100 },
    );
  });

  it('a frozen membership is no larger than the cohort, no smaller than the quorum, and within the exact sums', () => {
    fc.assert(
      fc.property(plans, moves, ([, plan], list) => {
        play(newWorld(plan()), list, (before, _event, { state }) => {
          const members = state.open?.members ?? [];
          if (members.length === 0) return;
          const { cohortSize, quorum, fixedPoint } = state.plan;
          expect(members.length).toBeGreaterThanOrEqual(quorum);
          expect(members.length).toBeLessThanOrEqual(cohortSize);
          expect(members.map(({ owner }) => owner)).toEqual(members.map(({ owner }) => owner).sort());
          const total = members.reduce((sum, { aggregationWeight }) => sum + aggregationWeight, 0);
          expect(total).toBeLessThanOrEqual(fixedPoint.maxTotalWeight);
          for (const { aggregationWeight, freshWeight = aggregationWeight } of members) {
            expect(aggregationWeight).toBeGreaterThanOrEqual(1);
            expect(freshWeight).toBeGreaterThanOrEqual(aggregationWeight);
          }
          if (before.open?.members) expect(members).toEqual(before.open.members);
        });
      }),
      { numRuns: 100 },
    );
  });

  it('everything that outstanding work reads is kept', () => {
    fc.assert(
      fc.property(plans, moves, ([, plan], list) => {
        play(newWorld(plan()), list, (_before, _event, { state }) => {
          const live = liveBlobs(state);
          for (const work of outstandingWork(state)) {
            if ('params' in work) expect(live).toContain(work.params);
            if (work.kind === 'aggregate')
              for (const { update } of work.members) expect(live).toContain(update);
          }
        });
      }),
      { numRuns: 100 },
    );
  });

  it('it ends when at least a quorum of owners answers and deadlines fire', () => {
    fc.assert(
      fc.property(plans, moves, fc.nat(), ([, plan], list, first) => {
        const world = newWorld(plan());
        play(world, list, () => undefined);
        // As many as the quorum come back, or come at all; everybody else stays silent.
        const { quorum } = world.state.plan;
        const names = Array.from(
          { length: quorum },
          (_, i) => ['a', 'b', 'c', 'd', 'e', 'f'][(first + i) % 6]!,
        );
        for (const owner of names) {
          apply(world, { type: 'owner-joined', counts: countsOf(owner, 12) });
          apply(world, { type: 'owner-pardoned', owner });
        }
        heal(world, (owner) => names.includes(owner), 600);
        expect(world.state.status).not.toBe('running');
        if (!world.events.some(({ type }) => type === 'cancelled' || type === 'stopping'))
          expect(world.state.status).toBe('finished');
      }),
      { numRuns: 100 },
    );
  });
});
