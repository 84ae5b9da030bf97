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
import type { Effect, RunEvent, UpdateReceived } from './events.ts';
import { replay, type Step, step } from './machine.ts';
import { liveBlobs, outstandingWork } from './outstanding.ts';
import type { RunPlan } from './plan.ts';
import { rosterWith } from './roster.ts';
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
            expect(live).toContain(work.params);
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

function trained(state: RunState, owner: string, change: Partial<UpdateReceived> = {}): UpdateReceived {
  return {
    type: 'update-received',
    round: state.open!.round,
    owner,
    update: `update ${owner} ${state.open!.round}`,
    personal: null,
    upBytes: 1,
    downBytes: 1,
    check: { ok: true, l2Norm: 1 },
    stats: { steps: 1, numExamples: 1, numTokens: 1, numTargets: 1, meanLoss: 1, lastLoss: 1 },
    ...change,
  };
}

/** Accepted from the first `count` of the cohort. */
function afterAnswers(state: RunState, count: number): RunState {
  return state
    .open!.cohort.slice(0, count)
    .reduce((now, owner) => step(now, trained(now, owner)).state, state);
}

describe('round machine in a deployment: rounds', () => {
  const opened = () => newWorld(deploymentPlan()).state;
  const refused = { ok: false, code: 'norm', reason: 'too long' } as const;

  it('over-selection: more are asked than counted, the first ones close the round, the others are told', () => {
    const state = opened();
    expect(state.open!.cohort).toHaveLength(4);
    const closed = afterAnswers(state, 3);
    expect(closed.open).toMatchObject({ phase: 'aggregating', members: { length: 3 } });
    const { effects } = step(closed, trained(closed, state.open!.cohort[3]!));
    expect(effects).toMatchObject([{ kind: 'receipt', accepted: false, code: 'stale-round' }]);
  });

  it('a deadline without a quorum asks everybody again, and others; who answered stays counted', () => {
    const state = afterAnswers(opened(), 1);
    const { round, cohort } = state.open!;
    const { state: extended, effects } = step(state, { type: 'deadline', round, extension: 0 });
    expect(extended.open).toMatchObject({ phase: 'training', extension: 1, accepted: state.open!.accepted });
    expect(extended.open!.cohort).toHaveLength(6);
    expect(effects.map((effect) => effect.kind)).toEqual(['train', 'train']);
    const late = step(extended, trained(extended, cohort[1]!));
    expect(late.effects[0]).toMatchObject({ accepted: true });
    // The deadline of before its extension is late now.
    expect(step(extended, { type: 'deadline', round, extension: 0 }).state).toBe(extended);
  });

  it('refused updates quarantine their owner, who is replaced, and asked again once pardoned', () => {
    let state = opened();
    const [owner] = state.open!.cohort;
    const bad = () => step(state, trained(state, owner!, { check: refused }));
    expect(bad().effects[0]).toMatchObject({ accepted: false, code: 'norm', reason: 'too long' });
    state = bad().state;
    expect(state.roster[owner!]).toMatchObject({ standing: 'active', offences: 1 });
    state = step(state, { type: 'deadline', round: 1, extension: 0 }).state;
    state = bad().state;
    expect(state.roster[owner!]).toMatchObject({ standing: 'quarantined', offences: 2 });
    expect(taskOf(state, owner!)).toBeUndefined();
    const rejoined = step(state, { type: 'owner-joined', counts: countsOf(owner!, 33) }).state;
    expect(rejoined.roster[owner!]).toMatchObject({ standing: 'quarantined', offences: 2 });
    const away = step(state, { type: 'owner-left', owner: owner!, reason: 'to be forgotten' }).state;
    const back = step(away, { type: 'owner-joined', counts: countsOf(owner!, 33) }).state;
    expect(back.roster[owner!]).toMatchObject({ standing: 'quarantined', offences: 2 });
    const pardoned = step(state, { type: 'owner-pardoned', owner: owner! }).state;
    expect(pardoned.roster[owner!]).toMatchObject({ standing: 'active', offences: 0 });
  });

  it('who leaves is not waited for; who comes back takes its place again', () => {
    const plan = deploymentPlan({ asked: 6 }, { cohortSize: 6, quorum: 6 });
    let state = newWorld(plan).state;
    state = step(state, { type: 'owner-left', owner: 'b', reason: 'holiday' }).state;
    expect(taskOf(state, 'b')).toBeUndefined();
    expect(step(state, { type: 'owner-left', owner: 'b', reason: 'again' }).state).toBe(state);
    const { state: back, effects } = step(state, { type: 'owner-joined', counts: countsOf('b', 11) });
    expect(effects.map((effect) => effect.kind === 'train' && effect.owner)).toContain('b');
    expect(taskOf(back, 'b')).toMatchObject({ kind: 'train', round: 1 });
    expect(afterAnswers(back, 6).open?.phase).toBe('aggregating');
  });

  it('a late owner is asked at once where there is room, and from the next round on otherwise', () => {
    const full = opened();
    const late = step(full, { type: 'owner-joined', counts: countsOf('z', 50) }).state;
    expect(late.open!.cohort).toEqual(full.open!.cohort);
    const roomy = newWorld(deploymentPlan({ asked: 8 }, { cohortSize: 6, quorum: 6 })).state;
    const { state, effects } = step(roomy, { type: 'owner-joined', counts: countsOf('z', 50) });
    expect(state.open!.cohort).toContain('z');
    expect(idsOf(effects)).toContain('train/1/z');
  });

  it('the same counts again change nothing', () => {
    const state = opened();
    expect(step(state, { type: 'owner-joined', counts: countsOf('a', 10) }).state).toBe(state);
  });

  it('counts that the exact sums cannot hold are refused before anything is written', () => {
    const state = newWorld(deploymentPlan({}, { fixedPoint: { fractionBits: 40, range: 8 } })).state;
    const huge = { owner: 'z', numExamples: 1e9, numTokens: 1e12 };
    expect(() => rosterWith(state, huge)).toThrow(expect.objectContaining({ code: 'AGGREGATION_OVERFLOW' }));
    expect(rosterWith(state, countsOf('z', 20)).z).toMatchObject({
      standing: 'active',
      aggregationWeight: 20,
    });
  });

  it('paused: nothing is handed out, updates under way are taken', () => {
    const paused = step(opened(), { type: 'paused', reason: 'night' }).state;
    const [owner] = paused.open!.cohort;
    expect(taskOf(paused, owner!)).toBeUndefined();
    expect(step(paused, trained(paused, owner!)).effects).toMatchObject([{ accepted: true }]);
    expect(taskOf(step(paused, { type: 'continued' }).state, owner!)).toMatchObject({ kind: 'train' });
  });

  it('stop: the open round closes, its result is published; before the first update nothing is', () => {
    const early = step(opened(), { type: 'stopping', reason: 'enough' }).state;
    expect(early).toMatchObject({ status: 'cancelled', failure: 'enough' });
    const world = newWorld(deploymentPlan());
    world.state = afterAnswers(world.state, 1);
    apply(world, { type: 'stopping', reason: 'enough' });
    heal(world, () => true, 100);
    expect(world.state).toMatchObject({ status: 'finished', closed: { length: 1 } });
  });

  it('a run that has not come to publishing is not published', () => {
    const state = afterAnswers(opened(), 3);
    expect(step(state, { type: 'published' }).state).toBe(state);
  });

  it('cancel: over at once, from any phase', () => {
    for (const state of [opened(), afterAnswers(opened(), 3)]) {
      const { state: cancelled, effects } = step(state, { type: 'cancelled', reason: 'no' });
      expect(cancelled.status).toBe('cancelled');
      expect(effects).toEqual([]);
      expect(outstandingWork(cancelled)).toEqual([]);
      expect(step(cancelled, trained(state, 'a')).effects).toMatchObject([{ code: 'run-over' }]);
    }
  });
});

describe('round machine in a deployment: owners evaluate', () => {
  const scores = (loss: number | null, numTargets: number, more = {}) => ({
    numExamples: 1,
    numTargets,
    scores: { loss, ...more },
  });

  it('losses are pooled by targets, other figures by examples, whoever comes first', () => {
    const state = newWorld(deploymentPlan()).state;
    const answers: [string, ReturnType<typeof scores>][] = [
      ['a', scores(1, 30, { exactMatch: 0 })],
      ['b', scores(4, 10, { exactMatch: 1 })],
      ['d', scores(null, 10, { exactMatch: 1 })],
    ];
    const poolOf = (order: typeof answers) => {
      const answered = order.reduce(
        (now, [owner, result]) =>
          step(now, { type: 'owner-evaluated', evaluation: 'validation/0', owner, result }).state,
        state,
      );
      const closed = step(answered, { type: 'evaluation-deadline', evaluation: 'validation/0' }).state;
      return closed.evaluations['validation/0'];
    };
    expect(poolOf(answers)).toMatchObject({ numExamples: 3, pooled: { loss: 1.75, exactMatch: 2 / 3 } });
    expect(poolOf([...answers].reverse())).toEqual(poolOf(answers));
  });

  it('an answer counts once, only from owners with held-out examples, and only for what is asked', () => {
    const state = newWorld(deploymentPlan()).state;
    const answer = (owner: string, evaluation = 'validation/0') =>
      ({ type: 'owner-evaluated', evaluation, owner, result: scores(1, 1) }) as const;
    const once = step(state, answer('a')).state;
    expect(once).not.toBe(state);
    for (const event of [
      answer('a'),
      answer('eve'),
      answer('c'),
      answer('b', 'validation/9'),
      answer('b', 'constructor'),
    ])
      expect(step(once, event).state).toBe(once);
  });

  it('evaluations that nobody can answer close by themselves, one after the other', () => {
    const owners = ['a', 'b', 'c'].map((owner) => ({ owner, numExamples: 5, numTokens: 50 }));
    const world = newWorld(deploymentPlan({ asked: 3 }, { owners, rounds: 1, keepBest: true }));
    expect(world.state.evaluations['validation/0']).toMatchObject({ numExamples: 0, pooled: { loss: null } });
    heal(world, () => true, 20);
    expect(world.state.status).toBe('finished');
    expect(world.events.filter(({ type }) => type === 'evaluation-deadline')).toEqual([]);
  });
});

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
