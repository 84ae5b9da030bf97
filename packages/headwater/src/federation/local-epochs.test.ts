import { describe, expect, it } from 'vitest';
import { digestJson } from '../base/canonical.ts';
import { start } from './machine.ts';
import { bindMethod } from './method.ts';
import { fedavg } from './methods/fedavg.ts';
import { createPlan, type LocalEpochs, meanSteps } from './plan.ts';

const counts = [1, 4, 9, 400].map((numExamples, i) => ({ owner: `o${i}`, numExamples, numTokens: 10 }));

function stepsWith(localEpochs: LocalEpochs | undefined) {
  const plan = createPlan(
    {
      ...{ seed: 1, owners: counts, tensors: [{ name: 'w', shape: [1] }], baseModel: 'b', localEpochs },
      ...{ initialParams: digestJson('p'), method: { kind: 'fedavg' }, rounds: 3, localSteps: 10 },
      ...{ weighting: 'uniform', serverLearningRate: 1, fixedPoint: { fractionBits: 20, range: 8 } },
      ...{ earlyStopping: null, keepBest: false, arms: [], validateEveryRounds: 0, test: false },
    },
    bindMethod(fedavg, {}),
  );
  const work = start(plan).effects.flatMap((effect) => (effect.kind === 'train' ? [effect] : []));
  return { plan, steps: work.map(({ steps }) => steps), total: work.map(({ totalSteps }) => totalSteps) };
}

describe('passes over an owner’s examples', () => {
  it('are the steps of owners with few examples; the others take localSteps', () => {
    const { plan, steps, total } = stepsWith({ epochs: 2, batchSize: 4 });
    expect(steps).toEqual([1, 2, 5, 10]);
    expect(total).toEqual([3, 6, 15, 30]);
    expect(meanSteps(plan, counts)).toBe(4.5);
  });

  it('absent: all take localSteps, and the plan says nothing of it', () => {
    const { plan, steps } = stepsWith(undefined);
    expect(steps).toEqual([10, 10, 10, 10]);
    expect(Object.keys(plan)).not.toContain('localEpochs');
  });
});
