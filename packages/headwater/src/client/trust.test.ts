import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  bytesOf,
  type ClientFolder,
  type Network,
  replaced,
  runBoth,
  startWorld,
  tinyClient,
  tinyTrainer,
  undisturbedResult,
  type World,
} from '../../test/support/client-world.ts';
import { rejection } from '../../test/support/outcome.ts';
import { HeadwaterError } from '../base/errors.ts';

const worlds: World[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
});

async function world(...args: Parameters<typeof startWorld>): Promise<World> {
  const started = await startWorld(...args);
  worlds.push(started);
  return started;
}

let undisturbed: string;
beforeAll(async () => {
  undisturbed = await undisturbedResult();
});

describe('what a client does not take', () => {
  it('a run that the policy refuses leaves the invitation good', async () => {
    const here = await world();
    const token = await here.token('ann');
    const refusing = () => ({
      policy: { accepts: () => ['too many rounds', 'no privacy'], mayLeave: () => true },
    });
    const error = await rejection(tinyClient(here, { owner: 'ann', token, change: refusing }));
    expect(error.code).toBe('POLICY_REFUSED');
    expect(error.message).toContain('too many rounds');
    expect(error.message).toContain('no privacy');
    expect(await runBoth(here, { token })).toBe(undisturbed);
  });

  it('a used token of somebody else, no token, half a token', async () => {
    const here = await world({ minOwners: 1 });
    const token = await here.token('ann');
    await tinyClient(here, { owner: 'ann', token });
    expect((await rejection(tinyClient(here, { owner: 'ann', token }))).code).toBe('JOIN_REFUSED');
    expect((await rejection(tinyClient(here, { owner: 'ann' }))).code).toBe('OPTION_INVALID');
    const half = token.slice(0, 30);
    const error = await rejection(tinyClient(here, { owner: 'ann', token: half }));
    expect(error.code).toBe('OPTION_INVALID');
    expect(error.message).not.toContain(half);
  });

  it('another operator than the one who invited, and a manifest that was changed', async () => {
    const [here, other] = [await world(), await world()];
    const token = await here.token('ann');
    const foreign = (await other.token('ann')).slice(-21);
    const otherOperator = token.slice(0, -21) + foreign;
    const error = await rejection(tinyClient(here, { owner: 'ann', token: otherOperator }));
    expect(error).toMatchObject({
      code: 'JOIN_REFUSED',
      message: expect.stringContaining('another operator'),
    });
    const changed: Network = {
      after: (response, _, route) =>
        route === 'POST peek'
          ? { ...response, body: replaced(response.body, /rounds\\":3/, 'rounds\\":9') }
          : undefined,
    };
    const tampered = await rejection(tinyClient(here, { owner: 'ann', token, network: changed }));
    expect(tampered).toMatchObject({ code: 'JOIN_REFUSED', message: expect.stringContaining('signature') });
  });

  it.each([
    ['params larger than the run’s can be', /"bytes":\d+/, '"bytes":99999999'],
    ['fields that the protocol does not have', /"retryAfterMs"/, '"__proto__":{},"retryAfterMs"'],
    ['a digest that is none', /"digest":"[0-9a-f]{64}"/, '"digest":"../../etc/passwd"'],
  ])('%s', async (_, pattern, instead) => {
    const here = await world({ minOwners: 1 });
    let lies = 0;
    const network: Network = {
      after: (response, _request, route) => {
        if (route !== 'GET task' || lies++ > 5) return undefined;
        return { ...response, body: replaced(response.body, pattern, instead) };
      },
    };
    const run = tinyClient(here, { owner: 'ann', token: await here.token('ann'), network });
    const outcome = await run.catch((error) => error);
    // A body that is no acceptable JSON counts as no answer and is asked for again; the others are refused.
    if (outcome instanceof HeadwaterError) expect(outcome.code).toBe('CONNECTION_FAILED');
    else expect(lies).toBeGreaterThan(5);
  });

  it('more steps than the signed manifest speaks of', async () => {
    const here = await world({ minOwners: 1 }, (works) => ({
      ...works,
      manifest: { ...works.manifest, recipe: { federation: { rounds: 3, localSteps: 1 } } },
    }));
    const error = await rejection(tinyClient(here, { owner: 'ann', token: await here.token('ann') }));
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED', message: expect.stringContaining('2 steps') });
  });

  it('texts of the coordinator reach the terminal without control characters', async () => {
    const here = await world({ minOwners: 1 });
    const network: Network = {
      after: () => ({
        status: 403,
        headers: {},
        body: bytesOf(JSON.stringify({ error: { code: 'revoked', message: 'no\u001b[2Jway' } })),
      }),
    };
    const error = await rejection(
      tinyClient(here, { owner: 'ann', token: await here.token('ann'), network }),
    );
    expect(error.message).toBe('the coordinator refused: no [2Jway');
  });
});

describe('what leaves', () => {
  it('only figures that the policy allows', async () => {
    const here = await world({ minOwners: 1 });
    const change = () => ({ policy: { accepts: () => [], mayLeave: (name: string) => name !== 'loss' } });
    await tinyClient(here, { owner: 'ann', token: await here.token('ann'), change });
    const state = await here.coordinator.operator.state('demo');
    const told = Object.values(state!.evaluations).map(({ owners }) => owners.ann?.scores);
    expect(told).toHaveLength(6);
    expect(new Set(told.map((scores) => JSON.stringify(scores)))).toEqual(new Set(['{}']));
    const events = await here.coordinator.operator.events('demo', 0);
    const updates = events.flatMap(({ event }) => (event.type === 'update-received' ? [event.stats] : []));
    expect(updates.map(({ meanLoss, lastLoss }) => [meanLoss, lastLoss])).toEqual([
      [null, null],
      [null, null],
      [null, null],
    ]);
  });

  it('a failed training is told by its kind, not by its text; diverged training costs the round only', async () => {
    const here = await world({ quorum: 1 });
    let failures = 0;
    const trainer = tinyTrainer('ann');
    const change = () => ({
      openTrainer: async () => ({
        ...trainer,
        train: (...args: Parameters<typeof trainer.train>) => {
          if (failures++ > 0) return trainer.train(...args);
          throw new HeadwaterError('TRAINING_DIVERGED', 'NaN in /home/ann/secret.jsonl');
        },
      }),
    });
    await runBoth(here, { change });
    const events = await here.coordinator.operator.events('demo', 0);
    const failed = events.flatMap(({ event }) => (event.type === 'client-failed' ? [event.reason] : []));
    expect(failed).toEqual(['TRAINING_DIVERGED: Loss or gradient became NaN or infinite.']);
  });

  it('any other failure stops the client; started again, it does the same task', async () => {
    const here = await world();
    const token = await here.token('ann');
    const folder: ClientFolder = new Map();
    const change = () => ({
      openTrainer: async () => ({
        ...tinyTrainer('ann'),
        train: () => Promise.reject(new HeadwaterError('RUNTIME_FAILED', 'out of memory')),
      }),
    });
    const ben = tinyClient(here, { owner: 'ben', token: await here.token('ben') });
    const error = await rejection(tinyClient(here, { owner: 'ann', token, folder, change }));
    expect(error).toMatchObject({ code: 'RUNTIME_FAILED', message: 'out of memory' });
    await tinyClient(here, { owner: 'ann', token, folder });
    await ben;
    expect(here.published.at(-1)).toBe(undisturbed);
  });
});
