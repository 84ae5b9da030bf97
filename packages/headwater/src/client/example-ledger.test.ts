import { describe, expect, it } from 'vitest';
import { privacyGuarantee } from '../privacy/accounting/account.ts';
import { openExampleLedger } from './example-ledger.ts';
import type { ClientStore, TrainingCost } from './ports.ts';

function memoryStore(): ClientStore {
  const values = new Map<string, Uint8Array>();
  return {
    load: async (key) => values.get(key),
    save: async (key, value) => void values.set(key, value),
    remove: async (key) => void values.delete(key),
  };
}

const cost: TrainingCost = {
  trust: 'example',
  ...{ samplingRate: 0.1, noiseMultiplier: 1, steps: 10, delta: 1e-3, targetEpsilon: undefined },
};

function epsilonOf(trainings: number): number {
  const { samplingRate: rate, noiseMultiplier, steps, delta } = cost;
  const releases = [
    { sampling: { kind: 'poisson', rate }, noiseMultiplier, steps: steps * trainings } as const,
  ];
  return privacyGuarantee({ releases, neighbours: 'add-remove', delta }).epsilon;
}

describe('an owner’s ledger', () => {
  it('allows trainings up to the budget, also after the process was killed in between', async () => {
    const store = memoryStore();
    const limited = { ...cost, targetEpsilon: (epsilonOf(3) + epsilonOf(4)) / 2 };
    for (let training = 1; training <= 3; training++) {
      const ledger = await openExampleLedger(store, 0);
      expect(ledger.excess(limited)).toBeUndefined();
      await ledger.charge(limited);
    }
    expect((await openExampleLedger(store, 0)).excess(limited)).toBe(epsilonOf(4));
    expect((await openExampleLedger(store, 0)).excess(cost)).toBeUndefined();
  });

  it('reckons with the trainings that it has forgotten', async () => {
    const limited = { ...cost, targetEpsilon: epsilonOf(3) };
    expect((await openExampleLedger(memoryStore(), 2)).excess(limited)).toBeUndefined();
    expect((await openExampleLedger(memoryStore(), 3)).excess(limited)).toBe(epsilonOf(4));
    const store = memoryStore();
    await (await openExampleLedger(store, 2)).charge(limited);
    // What is written down now counts them; whoever opens it again forgets nothing.
    expect((await openExampleLedger(store, 9)).excess(limited)).toBe(epsilonOf(4));
  });
});
