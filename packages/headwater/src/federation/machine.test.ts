import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fakePlan, perform, runToEnd } from '../../test/support/fake-world.ts';
import { canonicalJson } from '../base/canonical.ts';
import type { Receipt, RunEvent, UpdateReceived } from './events.ts';
import { replay, start, step } from './machine.ts';
import { liveBlobs, outstandingWork } from './outstanding.ts';
import type { RunPlan } from './plan.ts';
import type { RunState } from './state.ts';
import { chosenRound } from './stopping.ts';

/** Chooses by a list of numbers, so that fast-check can shrink it. */
const picker = (choices: readonly number[]) => {
  let i = 0;
  return (count: number) => (choices[i++ % choices.length] ?? 0) % count;
};
const choices = fc.array(fc.nat(), { minLength: 1, maxLength: 40 });

function firstUpdate(state: RunState, owner = 'a'): UpdateReceived {
  const work = outstandingWork(state).find((item) => item.kind === 'train' && item.owner === owner);
  return perform(work!) as UpdateReceived;
}

function receiptOf(state: RunState, event: RunEvent): Receipt {
  return step(state, event).effects.find((effect) => effect.kind === 'receipt')!;
}

describe('round machine: whole runs', () => {
  it('trains every round, validates, trains the arms, tests and publishes once', () => {
    const { state, work } = runToEnd(fakePlan());
    expect(state.status).toBe('finished');
    expect(state.closed.map(({ round }) => round)).toEqual([1, 2, 3]);
    const kinds = work.map(({ id }) => id);
    expect(new Set(kinds).size).toBe(kinds.length);
    expect(kinds.filter((id) => id.startsWith('train/'))).toHaveLength(12);
    expect(kinds.filter((id) => id.startsWith('evaluate/validation/'))).toHaveLength(4);
    expect(kinds.filter((id) => id.startsWith('evaluate/test/')).sort()).toEqual([
      'evaluate/test/base',
      'evaluate/test/centralised',
      'evaluate/test/federated',
      'evaluate/test/local-only/a',
    ]);
    expect(kinds.at(-1)).toBe('publish');
  });

  it('the order in which work finishes changes nothing in the final state', () => {
    const plan = fakePlan({ cohortSize: 3, keepBest: true });
    const expected = canonicalJson(runToEnd(plan).state);
    fc.assert(
      fc.property(choices, (list) => {
        expect(canonicalJson(runToEnd(plan, {}, picker(list)).state)).toBe(expected);
      }),
    );
  });

  it('a restart after any event asks for exactly the work that is missing and ends in the same state', () => {
    fc.assert(
      fc.property(choices, fc.nat(), (list, cut) => {
        const plan = fakePlan({ earlyStopping: { patienceRounds: 2, minDelta: 0 } });
        const whole = runToEnd(plan, { personal: true }, picker(list));
        const prefix = whole.events.slice(0, 1 + (cut % whole.events.length));
        let state = replay(prefix);
        for (let work = outstandingWork(state); work.length > 0; work = outstandingWork(state))
          state = step(state, perform(work.at(-1)!, { personal: true })).state;
        expect(canonicalJson(state)).toBe(canonicalJson(whole.state));
      }),
    );
  });

  it('effects are the outstanding work that was not asked for before, at every step', () => {
    fc.assert(
      fc.property(choices, (list) => {
        const { events } = runToEnd(fakePlan({ keepBest: true }), {}, picker(list));
        let { state, effects } = start((events[0] as Extract<RunEvent, { type: 'created' }>).plan);
        const waiting = new Set(effects.map((effect) => (effect as { id: string }).id));
        for (const event of events.slice(1)) {
          const before = new Set(outstandingWork(state).map(({ id }) => id));
          ({ state, effects } = step(state, event));
          for (const effect of effects) if (effect.kind !== 'receipt') waiting.add(effect.id);
          const after = new Set(outstandingWork(state).map(({ id }) => id));
          for (const id of before) if (!after.has(id)) waiting.delete(id);
          expect(waiting).toEqual(after);
        }
      }),
    );
  });

  it('every event twice gives the same state as once', () => {
    const { events, state } = runToEnd(fakePlan());
    const doubled = events.flatMap((event) => [event, event]);
    expect(canonicalJson(replay(doubled))).toBe(canonicalJson(state));
  });

  it('outstanding work refers to live blobs only', () => {
    fc.assert(
      fc.property(choices, fc.boolean(), (list, keepBest) => {
        const { events } = runToEnd(fakePlan({ keepBest }), { personal: true }, picker(list));
        for (let n = 1; n <= events.length; n++) {
          const state = replay(events.slice(0, n));
          const live = liveBlobs(state);
          for (const work of outstandingWork(state)) {
            const needed = work.kind === 'aggregate' ? work.members.map(({ update }) => update) : [];
            if ('personal' in work && work.personal !== null)
              needed.push(
                ...(typeof work.personal === 'string' ? [work.personal] : Object.values(work.personal)),
              );
            if ('params' in work) needed.push(work.params);
            for (const digest of needed) expect(live).toContain(digest);
          }
        }
      }),
      { numRuns: 20 },
    );
  });

  it('updates of committed rounds are no longer live', () => {
    const { state } = runToEnd(fakePlan());
    for (const closed of state.closed)
      for (const update of Object.values(closed.members)) expect(liveBlobs(state)).not.toContain(update);
  });
});

/** Who was asked in each round. */
function cohortsOf(plan: RunPlan): string[][] {
  const asked = new Map<number, string[]>();
  for (const item of runToEnd(plan).work)
    if (item.kind === 'train') asked.set(item.round, [...(asked.get(item.round) ?? []), item.owner].sort());
  return [...asked.values()];
}

describe('round machine: cohorts', () => {
  it('is a function of seed and round, without repetition, sorted', () => {
    const plan = fakePlan({ cohortSize: 2, rounds: 50 });
    const cohorts = cohortsOf(plan);
    expect(cohorts).toHaveLength(50);
    expect(cohortsOf(plan)).toEqual(cohorts);
    for (const cohort of cohorts) expect(cohort).toEqual([...new Set(cohort)].sort());
    expect(new Set(cohorts.flat())).toEqual(new Set(['a', 'b', 'c', 'd']));
    expect(new Set(cohorts.map(String)).size).toBe(6);
  });

  it('only the cohort is asked to train', () => {
    const { state } = runToEnd(fakePlan({ cohortSize: 2 }));
    for (const { members } of state.closed) expect(Object.keys(members)).toHaveLength(2);
  });

  it('weights follow the examples, divided by their common divisor', () => {
    const owners = [20, 40, 60].map((numExamples, i) => ({ owner: `o${i}`, numExamples, numTokens: 1 }));
    const { members } = runToEnd(fakePlan({ owners })).work.find((item) => item.kind === 'aggregate')!;
    expect(members.map(({ aggregationWeight }) => aggregationWeight)).toEqual([1, 2, 3]);
  });
});

describe('round machine: updates', () => {
  const opened = start(fakePlan()).state;

  it('a good update is accepted', () => {
    expect(receiptOf(opened, firstUpdate(opened))).toMatchObject({ accepted: true, owner: 'a', round: 1 });
  });

  it('a repeated update is accepted again and changes nothing', () => {
    const event = firstUpdate(opened);
    const { state } = step(opened, event);
    expect(step(state, event).state).toBe(state);
    expect(receiptOf(state, event).accepted).toBe(true);
  });

  it('the receipt of a counted update can be had after its round has closed', () => {
    const { events, state } = runToEnd(fakePlan());
    for (const event of events)
      if (event.type === 'update-received') expect(receiptOf(state, event).accepted).toBe(true);
  });

  it.each<[string, Partial<UpdateReceived>, RegExp]>([
    ['another update for the same round', { update: 'other' }, /another update was accepted/],
    ['a round to come', { round: 2 }, /round 2 is not open, round 1 is/],
    ['a round that never was', { round: 0, update: 'x' }, /round 0 is not open/],
    ['a stranger', { owner: 'eve' }, /"eve" is not in the cohort/],
    ['a name from Object.prototype', { owner: 'constructor' }, /not in the cohort/],
  ])('%s is refused with a reason and changes nothing', (_, change, reason) => {
    const { state } = step(opened, firstUpdate(opened));
    const event = { ...firstUpdate(opened), ...change };
    expect(step(state, event).state).toBe(state);
    expect(receiptOf(state, event)).toMatchObject({ accepted: false, reason: expect.stringMatching(reason) });
  });

  it('a late update of a closed round is refused', () => {
    const { state, events } = runToEnd(fakePlan());
    const first = events.find((event) => event.type === 'update-received')!;
    const prefix = replay(events.slice(0, events.findIndex(({ type }) => type === 'aggregated') + 1));
    expect(receiptOf(prefix, { ...first, update: 'late' })).toMatchObject({ accepted: false });
    expect(receiptOf(state, { ...first, update: 'late' }).reason).toMatch(/takes no updates/);
  });

  it('an unusable update loses its client for the round; with a quorum the round goes on without it', () => {
    const plan = fakePlan({ quorum: 3 });
    const { state, work } = runToEnd(plan, { broken: ['b'] });
    expect(state.status).toBe('finished');
    for (const item of work)
      if (item.kind === 'aggregate') expect(item.members.map(({ owner }) => owner)).toEqual(['a', 'c', 'd']);
  });

  it('without a quorum the run fails, and says who was lost and why', () => {
    const { state } = runToEnd(fakePlan(), { broken: ['b'] });
    expect(state.status).toBe('failed');
    expect(state.failure).toBe('round 1 needs 4 updates of 4, has 1 and lost 1 (b: NaN in "w")');
    expect(outstandingWork(state)).toEqual([]);
  });

  it('a deadline closes a round that has its quorum, and fails one that has not', () => {
    const plan = fakePlan({ quorum: 2 });
    let { state } = start(plan);
    state = step(state, firstUpdate(state, 'c')).state;
    expect(step(state, { type: 'deadline', round: 1, extension: 0 }).state.status).toBe('failed');
    state = step(state, firstUpdate(state, 'a')).state;
    expect(outstandingWork(state).some(({ kind }) => kind === 'aggregate')).toBe(false);
    const closed = step(state, { type: 'deadline', round: 1, extension: 0 });
    expect(closed.effects).toMatchObject([{ kind: 'aggregate', members: [{ owner: 'a' }, { owner: 'c' }] }]);
    expect(step(state, { type: 'deadline', round: 2, extension: 0 }).state).toBe(state);
  });
});

describe('round machine: validation decides', () => {
  const losses = (list: readonly (number | null)[]) => ({ lossAfter: (round: number) => list[round] ?? 99 });

  it('early stopping: ends after patience rounds without improvement', () => {
    const plan = fakePlan({ rounds: 10, earlyStopping: { patienceRounds: 2, minDelta: 0 } });
    expect(runToEnd(plan, losses([5, 4, 3, 3, 3.5, 1])).state.closed).toHaveLength(4);
  });

  it('early stopping: improvements below minDelta do not count', () => {
    const plan = fakePlan({ rounds: 10, earlyStopping: { patienceRounds: 2, minDelta: 0.5 } });
    expect(runToEnd(plan, losses([5, 4.9, 4.8, 1])).state.closed).toHaveLength(2);
    expect(runToEnd(plan, losses([5, 4, 3, 2.9, 2.8, 1])).state.closed).toHaveLength(4);
  });

  it('early stopping: with sparse validation it is decided at validated rounds only', () => {
    const plan = fakePlan({
      rounds: 12,
      validateEveryRounds: 2,
      earlyStopping: { patienceRounds: 3, minDelta: 0 },
    });
    expect(runToEnd(plan, losses([5, 0, 4, 0, 4, 0, 4, 0, 4])).state.closed).toHaveLength(6);
  });

  it('early stopping: the next round waits for the loss', () => {
    const plan = fakePlan({ earlyStopping: { patienceRounds: 1, minDelta: 0 }, arms: [], test: false });
    const { work } = runToEnd(plan);
    const ids = work.map(({ id }) => id);
    expect(ids.indexOf('evaluate/validation/1')).toBeLessThan(ids.indexOf('train/2/a'));
  });

  it('keepBest: the earliest round of least loss is the result, NaN never wins', () => {
    const plan = fakePlan({ rounds: 5, keepBest: true });
    const { state, work } = runToEnd(plan, losses([0, null, 3, 2, 2, 4]));
    expect(chosenRound(state)?.round).toBe(3);
    expect(work.at(-1)).toMatchObject({ kind: 'publish', round: 3, params: state.closed[2]?.params });
    expect(liveBlobs(state)).toContain(state.closed[2]?.params);
  });

  it('without keepBest the last round is the result', () => {
    expect(chosenRound(runToEnd(fakePlan(), losses([0, 1, 2, 3])).state)?.round).toBe(3);
  });

  it('an arm that failed does not stop the run and is not tested', () => {
    const plan = fakePlan();
    let { state } = start(plan);
    state = step(state, { type: 'arm-failed', arm: 'centralised', reason: 'loss became NaN' }).state;
    for (let work = outstandingWork(state); work.length > 0; work = outstandingWork(state))
      state = step(state, perform(work[0]!)).state;
    expect(state.status).toBe('finished');
    expect(state.evaluations['test/centralised']).toBeUndefined();
    expect(state.evaluations['test/local-only/a']).toBeDefined();
  });
});

describe('run plan', () => {
  it('reports all unmet needs together', () => {
    const make = () =>
      fakePlan({ owners: [], cohortSize: 3, quorum: 4, keepBest: true, validateEveryRounds: 0 });
    expect(make).toThrow(expect.objectContaining({ code: 'RECIPE_INVALID' }));
    for (const part of [/no owner/, /cohortSize is 3/, /quorum is 4/, /need validation data/])
      expect(make).toThrow(part);
  });
});
