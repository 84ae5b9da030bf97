import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type SmallRun, smallRun } from '../../test/support/small-run.ts';
import type { Estimate } from '../runs/estimate.ts';
import { run } from '../simulation/run.ts';
import { planCommand } from './plan.ts';

let small: SmallRun;
beforeAll(() => {
  small = smallRun({ baselines: { localOnly: false, centralised: false } });
});
afterAll(() => small.remove());

async function plan(...args: string[]): Promise<{ readonly estimate: Estimate; readonly text: string }> {
  const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  try {
    await planCommand().parseAsync([small.recipe, ...args], { from: 'user' });
    const text = log.mock.calls.map(([line]) => String(line)).join('\n');
    return { text, estimate: (args.includes('--json') ? JSON.parse(text) : undefined) as Estimate };
  } finally {
    log.mockRestore();
  }
}

describe('headwater plan', () => {
  it.each([
    ['none', []],
    ['int8', ['federation.cohortSize=2']],
    ['top-k', ['tuning.rank=4', 'federation.rounds=3']],
  ])('says the bytes and steps that the run then measures: %s', async (kind, more) => {
    const overrides = [`federation.compression={"kind":"${kind}"}`, ...more];
    const set = overrides.flatMap((override) => ['--set', override]);
    const { estimate } = await plan('--json', ...set);
    const { results } = await run(small.recipe, { out: small.out(kind), overrides });
    expect(results.bytes).toEqual({ up: estimate.total.upBytes, down: estimate.total.downBytes });
    expect(results.federated.totalSteps).toBe(estimate.total.steps);
    const clients = estimate.rounds * estimate.asked;
    expect(estimate.client.upBytes * clients).toBe(results.bytes.up);
    expect(estimate.round.downBytes * estimate.rounds).toBe(results.bytes.down);
    // Which examples a client meets is drawn; their mean length is not.
    expect(results.federated.tokensSeen / estimate.total.tokens).toBeGreaterThan(0.8);
    expect(results.federated.tokensSeen / estimate.total.tokens).toBeLessThan(1.25);
  });

  it.each([
    ['flexlora', { ranks: { owners: { ann: 1 } } }, ['federation.cohortSize=1', 'federation.rounds=3']],
    ['flora', { ranks: { levels: [1, 2] } }, []],
    ['ffa-lora', {}, []],
    ['flasc', { down: { default: 0.25 } }, []],
    ['chainfed', { lambda: 0 }, ['federation.rounds=3']],
    ['fedkseed', { seeds: 16 }, ['training.optimizer.kind=sgd']],
    ['decomfl', { perturbations: 2 }, ['training.optimizer.kind=sgd', 'federation.rounds=3']],
  ])('says the bytes that owners then send and are sent by %s', async (kind, options, more) => {
    const method = JSON.stringify({ kind, ...options });
    const overrides = [`federation.method=${method}`, 'workers=1', ...more];
    const { estimate } = await plan('--json', ...overrides.flatMap((override) => ['--set', override]));
    const { results } = await run(small.recipe, { out: small.out(`by-${kind}`), overrides });
    expect(results.bytes).toEqual({ up: estimate.total.upBytes, down: estimate.total.downBytes });
  });

  it('for people: time at a stated speed, cost at stated prices', async () => {
    const { text } = await plan(
      '--tokens-per-second',
      '100',
      '--price-per-gb',
      '1000',
      '--price-per-hour',
      '3600',
    );
    expect(text).toMatch(/small: 2 rounds, each asks 3 of 3 owners and counts 3; updates travel as none/);
    expect(text).toMatch(/training time .* s/);
    expect(text).toMatch(/cost of machines +\d/);
    expect(text).toMatch(/Time at 100 tokens a second/);
  });

  it('measures the speed here when asked to', async () => {
    const { estimate } = await plan('--json', '--measure');
    expect(estimate.client.seconds).toBeGreaterThan(0);
  });

  it('for a deployment whose data are elsewhere: more owners than here, over-selection, at most so many tokens', async () => {
    const set = ['--set', 'federation.cohortSize=10', '--set', 'federation.overSelection=1.3'];
    const { estimate } = await plan('--json', '--owners', '50', ...set);
    expect(estimate).toMatchObject({ owners: 50, asked: 13, counted: 10, tokensAreAtMost: true });
    expect(estimate.total.upBytes).toBe(2 * 13 * estimate.client.upBytes);
    // Owners score the params of the start and of both rounds; the last ones also on the test data.
    expect(estimate.total.evaluationBytes).toBe(3 * 50 * estimate.client.downBytes);
    // 2 steps of 2 examples of 32 tokens.
    expect(estimate.client.tokens).toBe(128);
  });

  it('buffered: as many updates as the buffer holds make a version', async () => {
    const mode = 'federation.mode={kind: buffered, bufferSize: 4}';
    const { estimate } = await plan(
      '--json',
      '--owners',
      '20',
      '--set',
      mode,
      '--set',
      'federation.cohortSize=12',
    );
    expect(estimate).toMatchObject({ asked: 12, counted: 4 });
    expect(estimate.total.upBytes).toBe(2 * 4 * estimate.client.upBytes);
  });
});
