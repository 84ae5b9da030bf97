import { describe, expect, it } from 'vitest';
import { plants } from './plants.ts';
import { drawScenario, withoutFaults } from './scenario.ts';
import { simulate, simulateSeed } from './simulate.ts';

describe('fault simulation', () => {
  it('the same seed gives the same history, to the last event', async () => {
    // 12: owners open masks; 34: a helper does.
    for (const seed of [1, 2, 12, 34]) {
      const [first, second] = [await simulateSeed(seed), await simulateSeed(seed)];
      expect(second.hash).toBe(first.hash);
      expect(second.events).toBe(first.events);
    }
  });

  it('other seeds give other histories', async () => {
    const hashes = await Promise.all(
      [5, 6, 7].map(async (seed) => (await simulate(drawScenario(seed))).hash),
    );
    expect(new Set(hashes).size).toBe(3);
  });

  it('what is printed does not change what happens', async () => {
    const lines: string[] = [];
    const traced = await simulateSeed(8, { print: (line) => lines.push(line) });
    expect(traced.hash).toBe((await simulateSeed(8)).hash);
    expect(lines.length).toBeGreaterThan(20);
  });

  it('without faults a run finishes', async () => {
    const { violation, status } = await simulate(withoutFaults(drawScenario(9)));
    expect(violation).toBeUndefined();
    expect(status).toBe('finished');
  });

  it('keeps every promise over some seeds', async () => {
    for (let seed = 100; seed < 130; seed++) {
      const { violation } = await simulateSeed(seed);
      expect(violation, `seed ${seed}: ${violation?.message}`).toBeUndefined();
    }
  });

  it.each([
    ['commit-other-update', 1],
    ['answer-early', 1],
    ['sum-in-floats', 1],
    ['other-survivors', 12],
    ['mask-left', 12],
  ])('finds the planted fault %s', async (name, first) => {
    const plant = plants.get(name)!;
    let found: string | undefined;
    for (let seed = first; seed < first + 20 && found === undefined; seed++)
      found = (await simulateSeed(seed, { plant })).violation?.checker;
    expect(found).toBeDefined();
  });
});
