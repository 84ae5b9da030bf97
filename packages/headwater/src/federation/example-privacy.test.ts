import { describe, expect, it } from 'vitest';
import { mostSpentOnExamples } from './example-ledger.ts';
import { type ExamplePrivacy, exampleGuarantee, exampleMechanism } from './example-privacy.ts';
import type { RunState } from './state.ts';

const privacy: ExamplePrivacy = { clipNorm: 1, batchSize: 10, delta: 1e-3, targetEpsilon: 3 };
const amounts = { steps: 4, rounds: 5 };

/** Of owners who answered so often. */
function spent(trainings: Readonly<Record<string, number>>, given: ExamplePrivacy) {
  const roster = Object.fromEntries(
    Object.entries(trainings).map(([owner, participations], i) => [
      owner,
      { owner, numExamples: 100 * (i + 1), numTokens: 1, aggregationWeight: 1, participations },
    ]),
  );
  const plan = { examplePrivacy: given, localSteps: amounts.steps, rounds: amounts.rounds };
  return mostSpentOnExamples({ plan, roster } as unknown as Pick<RunState, 'plan' | 'roster'>)!;
}

describe('privacy of examples', () => {
  it('takes the least noise that keeps the target over all rounds, from an owner’s share in a step', () => {
    const small = exampleMechanism(privacy, { numExamples: 100 }, amounts);
    const large = exampleMechanism(privacy, { numExamples: 400 }, amounts);
    expect([small.samplingRate, large.samplingRate]).toEqual([0.1, 0.025]);
    expect(large.noiseMultiplier).toBeLessThan(small.noiseMultiplier);
    for (const mechanism of [small, large]) {
      expect(exampleGuarantee(mechanism, 1e-3, 5).epsilon).toBeLessThanOrEqual(3);
      expect(exampleGuarantee(mechanism, 1e-3, 5).epsilon).toBeGreaterThan(2.95);
      expect(mechanism.maxTrainings).toBe(5);
    }
    expect(exampleMechanism(privacy, { numExamples: 7 }, amounts).samplingRate).toBe(1);
  });

  it('stops an owner whose noise is given before it costs more than the target', () => {
    const given = { ...privacy, noiseMultiplier: 0.8 };
    const mechanism = exampleMechanism(given, { numExamples: 100 }, { ...amounts, rounds: 50 });
    const { maxTrainings } = mechanism;
    expect(maxTrainings).toBeGreaterThan(0);
    expect(maxTrainings).toBeLessThan(50);
    expect(exampleGuarantee(mechanism, 1e-3, maxTrainings).epsilon).toBeLessThanOrEqual(3);
    expect(exampleGuarantee(mechanism, 1e-3, maxTrainings + 1).epsilon).toBeGreaterThan(3);
  });

  it('tells what the owner with the largest ε has spent, by the finer accountant', () => {
    const given = { ...privacy, noiseMultiplier: 1 };
    const most = spent({ ann: 1, ben: 5, cid: 2 }, given);
    const all = Object.entries({ ann: 1, ben: 5, cid: 2 }).map(([owner, trainings], i) => {
      const mechanism = exampleMechanism(given, { numExamples: 100 * (i + 1) }, amounts);
      return { owner, epsilon: exampleGuarantee(mechanism, 1e-3, trainings).epsilon };
    });
    all.sort((a, b) => b.epsilon - a.epsilon);
    expect(most.owner).toBe(all[0]!.owner);
    expect(most.guarantee.epsilon).toBe(all[0]!.epsilon);
    expect(most.guarantee.neighbours).toBe('add-remove');
  });
});
