import { afterAll, describe, expect, it } from 'vitest';
import { rng } from '../base/random.ts';
import { childOf } from './bench-processes.ts';
import { hostsOf, plainTrial, secureTrial } from './bench-secagg-trial.ts';

const children = [0, 1].map(() => childOf('./bench-secagg-host', { serialization: 'advanced' }));
const hosts = hostsOf(children);
const options = { clients: 8, params: 20_000, adversaries: 0.1, dropouts: 0.2 };

describe('secure aggregation between processes', () => {
  afterAll(() => {
    for (const child of children) child.send({ type: 'end' });
  });

  it('gives the exact sum of those who sent a vector while enough stay, and otherwise none', async () => {
    for (const [number, drops] of [1, 2, 1].entries()) {
      const result = await secureTrial(hosts, { ...options, drops }, number, rng(3, number));
      expect(result).toMatchObject({ outcome: 'exact', reason: undefined });
      expect(result.upBytes).toBeGreaterThan(4 * options.params);
      expect(result.upBytes).toBeLessThan(4 * options.params + 20_000);
    }
    const lost = await secureTrial(hosts, { ...options, drops: 5 }, 4, rng(3, 'lost'));
    expect(lost).toMatchObject({
      outcome: 'abandoned',
      survivors: 0,
      reason: expect.stringContaining('too few'),
    });
    expect((await plainTrial(hosts, { ...options, drops: 0 }, rng(3))).wallMs).toBeGreaterThan(0);
  });
});
