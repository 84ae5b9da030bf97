import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { type SmallDeployment, smallDeployment } from '../../test/support/small-deployment.ts';
import { decodeParams, differenceOf } from '../federation/params.ts';
import { countedReleases } from '../federation/privacy-ledger.ts';
import { metricsOf } from '../runs/metrics.ts';
import { run } from '../simulation/run.ts';
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

type More = Pick<Partial<Parameters<typeof joinRun>[0]>, 'state' | 'onEvent'>;

/** Everybody joins and stays to the end. */
async function joinAll(place: SmallDeployment, more: (owner: string) => More = () => ({})): Promise<void> {
  process.env.HEADWATER_HOME = place.home;
  const outcomes = await Promise.all(
    OWNERS.map(async (owner) =>
      joinRun({
        url: await place.invitation(owner),
        data: { train: { files: place.file(owner) } },
        ...more(owner),
      }),
    ),
  );
  expect(outcomes.map(({ status }) => status)).toEqual(['finished', 'finished', 'finished']);
}

function cardIn({ results }: SmallDeployment): string {
  return readFileSync(join(results, 'adapter', 'README.md'), 'utf8');
}

/** Of the result of a run to its end. */
async function cardOf(privacy: object): Promise<{ readonly card: string; readonly losses: number }> {
  deployment = await smallDeployment(OWNERS, shape(privacy));
  let losses = 0;
  await joinAll(deployment, () => ({
    onEvent: (event) => {
      if (event.type === 'receipt' && event.accepted) losses++;
    },
  }));
  const card = cardIn(deployment);
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

it('owners who each add a part before the masks: the sum carries all of the noise, and everybody is charged once', async () => {
  const clientLevel = { trust: 'distributed', clip: { norm: 0.1 }, noiseMultiplier: 0.5, delta: 0.05 };
  const federation = { rounds: 1, localSteps: 2, weighting: 'uniform', quorum: 3 };
  const recipe = { ...shape({ secureAggregation: { mode: 'secagg-plus' }, clientLevel }), federation };
  const place = await smallDeployment(OWNERS, recipe);
  deployment = place;
  const state = (owner: string) => join(place.home, `state-${owner}`);
  await joinAll(place, (owner) => ({ state: state(owner) }));
  for (const owner of OWNERS) {
    const ledger = JSON.parse(readFileSync(join(state(owner), 'ledger.bin'), 'utf8'));
    expect(ledger.rows).toEqual([{ samplingRate: 1, noiseMultiplier: 0.5, steps: 1 }]);
  }
  const journal = (await place.server.operator.state('small'))!;
  expect(countedReleases(journal)).toBe(1);
  const card = cardIn(place);
  expect(card).toMatch(/for each client: whether one client contributed or sent nothing/);
  expect(card).toContain('3 owners in each sum add their part of the noise');
  // The simulation learns the same and adds noise of its own: apart they are by both, which are independent.
  const simulated = await run(place.run.recipe, { out: place.run.out('simulated') });
  const adapterIn = (folder: string) =>
    decodeParams(readFileSync(join(folder, 'adapter', 'adapter_model.safetensors')));
  const apart = differenceOf(adapterIn(place.results), adapterIn(simulated.folder));
  const values = [...apart.values()].flatMap(({ data }) => [...data]);
  const std = Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
  const expected = (Math.SQRT2 * 0.5 * 0.1) / 3;
  expect(Math.abs(std / expected - 1)).toBeLessThan(5 / Math.sqrt(2 * values.length));
  expect(values.length).toBeGreaterThan(200);
});

it('noise in a tree under a server with momentum: every owner in one leaf, and the releases are charged as one', async () => {
  const clientLevel = {
    mechanism: 'tree',
    treeRounds: 3,
    clip: { norm: 0.05 },
    noiseMultiplier: 0.5,
    delta: 0.05,
  };
  const federation = {
    method: { kind: 'fedavgm' },
    rounds: 3,
    localSteps: 1,
    weighting: 'uniform',
    cohortSize: 1,
    quorum: 1,
  };
  const place = await smallDeployment(OWNERS, { ...shape({ clientLevel }), federation });
  deployment = place;
  await joinAll(place);
  const rounds = metricsOf((await place.server.operator.events('small', 0)).map(({ event }) => event)).filter(
    (metric) => metric.type === 'round',
  );
  expect(rounds.map(({ privacy }) => privacy?.tree)).toEqual([
    { leaf: 1, nodes: 1 },
    { leaf: 2, nodes: 1 },
    { leaf: 3, nodes: 2 },
  ]);
  expect(rounds.map(({ participants }) => participants)).toEqual([1, 1, 1]);
  const card = cardIn(place);
  expect(card).toMatch(/\(ε, δ\) = \(\d+\.\d+, 0\.05\)/);
  expect(card).toContain('at most 1 update of an owner, one in each tree of noise over 3 releases (DP-FTRL)');
  expect(card).not.toContain('SIMULATED');
});
