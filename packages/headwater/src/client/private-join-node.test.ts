import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { type SmallDeployment, smallDeployment } from '../../test/support/small-deployment.ts';
import { joinRun } from './join-node.ts';

const OWNERS = ['ann', 'ben', 'cid'];
const shape = (privacy: object) => ({
  data: {
    train: { files: 'data/train.csv' },
    schema: { kind: 'prompt-completion', prompt: '{prompt}', completion: '{answer}', chat: false },
    ownerColumn: 'owner',
    maxLength: 32,
  },
  federation: { rounds: 2, localSteps: 2, weighting: 'uniform' },
  deployment: { owners: OWNERS },
  baselines: { localOnly: false, centralised: false },
  privacy,
});

let deployment: SmallDeployment | undefined;
afterAll(async () => {
  delete process.env.HEADWATER_HOME;
  await deployment?.close();
});

/** Everybody joins a run and stays to its end; gives the card of the result. */
async function cardOf(privacy: object): Promise<{ readonly card: string; readonly losses: number }> {
  deployment = await smallDeployment(OWNERS, shape(privacy));
  process.env.HEADWATER_HOME = deployment.home;
  const place = deployment;
  let losses = 0;
  const outcomes = await Promise.all(
    OWNERS.map(async (owner) =>
      joinRun({
        url: await place.invitation(owner),
        data: { train: { files: place.file(owner) } },
        onEvent: (event) => {
          if (event.type === 'receipt' && event.accepted) losses++;
        },
      }),
    ),
  );
  expect(outcomes.map(({ status }) => status)).toEqual(['finished', 'finished', 'finished']);
  const card = readFileSync(join(deployment.results, 'adapter', 'README.md'), 'utf8');
  await deployment.close();
  deployment = undefined;
  return { card, losses };
}

it('owners who protect each example: the adapter says (ε, δ) and against whom', async () => {
  const { card, losses } = await cardOf({
    exampleLevel: { clip: { norm: 1 }, targetEpsilon: 6, delta: 0.05 },
  });
  expect(losses).toBe(6);
  expect(card).toMatch(/\(ε, δ\) = \((5\.\d+|6), 0\.05\) for each example/);
  expect(card).toContain('the coordinator included');
  expect(card).not.toContain('SIMULATED');
});

it('owners who add all of the noise themselves: the adapter says what it cost', async () => {
  const { card } = await cardOf({
    clientLevel: { trust: 'local', clip: { norm: 0.1 }, noiseMultiplier: 0.5, delta: 0.05 },
  });
  expect(card).toMatch(/for each client: exchanging one client for another/);
  expect(card).toContain('at most 2 updates of an owner, against everybody else');
});
