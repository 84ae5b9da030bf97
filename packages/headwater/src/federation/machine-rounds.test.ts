import { describe, expect, it } from 'vitest';
import { apply, countsOf, deploymentPlan, heal, newWorld } from '../../test/support/fake-deployment.ts';
import { afterAnswers, trained } from '../../test/support/trained-update.ts';
import { step } from './machine.ts';
import { outstandingWork } from './outstanding.ts';
import { rosterWith } from './roster.ts';
import { taskOf } from './tasks.ts';

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
    expect(effects).toContainEqual(expect.objectContaining({ id: 'train/1/z' }));
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
