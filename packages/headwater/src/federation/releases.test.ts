import { describe, expect, it } from 'vitest';
import { fakePlan, runToEnd } from '../../test/support/fake-world.ts';
import type { EvaluationResult, RunEvent } from './events.ts';
import { replay } from './machine.ts';
import { liveBlobs } from './outstanding.ts';
import type { ReleaseRule } from './release-rule.ts';
import { reputations } from './reputation.ts';
import { chosenRound, releaseVerdicts } from './stopping.ts';

const OWNERS = ['a', 'b', 'c', 'd'];

interface Scores {
  readonly safety: number;
  /** By owner; null: it says nothing. */
  readonly losses?: readonly (number | null)[];
}

/** A run whose validations say what the test wants, round by round from the beginning. */
function ended(release: ReleaseRule, scores: readonly Scores[], keepBest = false) {
  const plan = fakePlan({ release, keepBest, arms: [] });
  const { events } = runToEnd(plan);
  const told = events.map((event): RunEvent => {
    if (event.type !== 'evaluated' || !event.evaluation.startsWith('validation/')) return event;
    return { ...event, result: resultOf(scores[Number(event.evaluation.split('/')[1])]!) };
  });
  return replay(told);
}

function resultOf({ safety, losses = [1, 1, 1, 1] }: Scores): EvaluationResult {
  const owners = OWNERS.flatMap((owner, i) =>
    losses[i] == null ? [] : [[owner, { numExamples: 5, scores: { loss: losses[i]! } }] as const],
  );
  return { numExamples: 20, pooled: { loss: 1, refusalRate: safety }, owners: Object.fromEntries(owners) };
}

const gate = { metric: 'refusalRate', higherIsBetter: true, maxDrop: 0.1 };
const released = (state: ReturnType<typeof ended>) =>
  releaseVerdicts(state)!.map((verdict) => verdict.released);

describe('a gate', () => {
  it('withholds rounds that fell by more than it allows, and the one before stays the result', () => {
    const state = ended({ gate }, [{ safety: 0.9 }, { safety: 0.95 }, { safety: 0.86 }, { safety: 0.4 }]);
    expect(released(state)).toEqual([true, true, false]);
    expect(chosenRound(state)?.round).toBe(2);
    expect(state.status).toBe('finished');
    expect(liveBlobs(state)).toContain(state.closed[1]!.params);
  });

  it('compares with the best that was released, so that many small steps down do not pass', () => {
    const state = ended({ gate }, [{ safety: 0.9 }, { safety: 0.82 }, { safety: 0.78 }, { safety: 0.74 }]);
    expect(released(state)).toEqual([true, false, false]);
    expect(chosenRound(state)?.round).toBe(1);
  });

  it('keeps what the run began from where nothing passes', () => {
    const state = ended({ gate }, [{ safety: 1 }, { safety: 0 }, { safety: 0 }, { safety: 0 }]);
    expect(chosenRound(state)).toMatchObject({ round: 0, params: 'initial' });
    expect(state.status).toBe('finished');
  });

  it('of a metric that should be low looks the other way round, and a missing score fails', () => {
    const low = { ...gate, metric: 'loss', higherIsBetter: false, maxDrop: 0 };
    expect(
      released(
        ended(
          { gate: low },
          [0, 0, 0, 0].map((safety) => ({ safety })),
        ),
      ),
    ).toEqual([true, true, true]);
    const missing = { ...gate, metric: 'other' };
    expect(
      released(
        ended(
          { gate: missing },
          [1, 1, 1, 1].map((safety) => ({ safety })),
        ),
      ),
    ).toEqual([false, false, false]);
  });

  it('with an absolute bound withholds what is worse than it, however slowly it got there', () => {
    const scores = [{ safety: 0.9 }, { safety: 0.85 }, { safety: 0.75 }, { safety: 0.8 }];
    const wide = { ...gate, maxDrop: 0.5 };
    expect(released(ended({ gate: wide }, scores))).toEqual([true, true, true]);
    expect(released(ended({ gate: { ...wide, bound: 0.8 } }, scores))).toEqual([true, false, true]);
    const low = { ...wide, metric: 'loss', higherIsBetter: false };
    expect(released(ended({ gate: { ...low, bound: 0.99 } }, scores))).toEqual([false, false, false]);
    expect(released(ended({ gate: { ...low, bound: 1 } }, scores))).toEqual([true, true, true]);
  });

  it('is refused without validation', () => {
    expect(() => fakePlan({ release: { gate }, validateEveryRounds: 0 })).toThrow(
      'evaluation.gate looks at validation',
    );
  });
});

describe('a vote', () => {
  const at = (losses: readonly (number | null)[]): Scores => ({ safety: 1, losses });
  const begin = at([2, 2, 2, 2]);

  it('is for what does not make an owner’s own loss larger than with the release before', () => {
    const rule = { vote: { weights: 'equal', threshold: 0.75 } } as const;
    const state = ended(rule, [begin, at([1, 1, 1, 3]), at([1, 1.5, 1.5, 1.5]), at([1, 1, 1, 4])]);
    expect(released(state)).toEqual([true, false, true]);
    const [, second] = releaseVerdicts(state)!;
    expect(second!.vote!.owners).toMatchObject({
      a: { vote: 'for' },
      c: { vote: 'against' },
      d: { vote: 'for' },
    });
    expect(second!.vote!.share).toBe(0.5);
  });

  it('counts who is silent among all', () => {
    const rule = { vote: { weights: 'equal', threshold: 0.6 } } as const;
    const state = ended(rule, [begin, at([1, 1, null, null]), begin, begin]);
    expect(releaseVerdicts(state)![0]!.vote).toMatchObject({ share: 0.5, holds: false });
  });

  it('weighs by examples or by reputation', () => {
    const byExamples = { vote: { weights: 'examples', threshold: 0.5 } } as const;
    // 13 + 12 of 46 examples.
    const state = ended(byExamples, [begin, at([3, 3, 1, 1]), begin, begin]);
    expect(releaseVerdicts(state)![0]!.vote!.share).toBeCloseTo(25 / 46, 12);
    const byReputation = { vote: { weights: 'reputation', threshold: 0.5 } } as const;
    const trusted = releaseVerdicts(ended(byReputation, [begin, begin, begin, at([1, 1, 3, 3])]))!.at(-1)!;
    expect(trusted.vote!.share).toBeCloseTo(0.5, 12);
  });
});

it('reputation grows with updates that counted and falls with those refused or put aside', () => {
  const state = ended({ gate }, [{ safety: 1 }, { safety: 1 }, { safety: 1 }, { safety: 0 }]);
  const bad = {
    roster: { ...state.roster, b: { ...state.roster.b!, offences: 3 } },
    closed: state.closed.map((round, i) => (i === 0 ? { ...round, excluded: ['b', 'c'] } : round)),
  };
  expect(reputations(bad, new Set([3]))).toMatchObject({
    a: { counted: 2, refused: 0, excluded: 0, reputation: 3 / 4 },
    b: { counted: 2, refused: 3, excluded: 1, reputation: 3 / 8 },
    c: { counted: 2, refused: 0, excluded: 1, reputation: 3 / 5 },
  });
});
