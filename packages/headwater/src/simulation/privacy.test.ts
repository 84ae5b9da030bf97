import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterDigest, fileIn, type SmallRun, smallRun } from '../../test/support/small-run.ts';
import { writeReport } from '../report/write.ts';
import { metricsOf, type RoundMetric } from '../runs/metrics.ts';
import { readEvents } from '../runs/run-folder.ts';
import { run } from './run.ts';

let small: SmallRun;
beforeAll(() => {
  const federation = { rounds: 2, localSteps: 2, weighting: 'uniform' };
  small = smallRun({ federation, baselines: { localOnly: false, centralised: false } });
});
afterAll(() => small.remove());

let runs = 0;
const privacy = (norm: number, noiseMultiplier: number) => [
  `privacy.clientLevel={"clip":{"norm":${norm}},"noiseMultiplier":${noiseMultiplier}}`,
];

function runWith(
  overrides: readonly string[],
  options: { readonly out?: string; readonly resume?: boolean } = {},
) {
  const out = options.out ?? small.out(`run-${runs++}`);
  return run(small.recipe, { ...options, out, overrides: ['workers=1', ...overrides] });
}

async function roundsOf(folder: string): Promise<RoundMetric[]> {
  return metricsOf(await readEvents(folder)).filter((metric) => metric.type === 'round');
}

describe('a simulated run with clipping and noise', () => {
  it('is the plain run where nothing is clipped and no noise is added', async () => {
    const [plain, clipped] = [await runWith([]), await runWith(privacy(1e6, 0))];
    expect(adapterDigest(clipped.folder)).toBe(adapterDigest(plain.folder));
    expect(plain.results.privacy).toBeUndefined();
    expect(readdirSync(plain.resultFolder)).not.toContain('README.md');
  });

  it('says SIMULATED everywhere and claims no ε', async () => {
    const { folder, resultFolder, results } = await runWith(privacy(0.05, 0.5));
    expect(results.privacy!.statement).toMatch(/^SIMULATED .* no ε is claimed/);
    expect(fileIn(resultFolder, 'README.md')).toContain('SIMULATED');
    await writeReport(folder);
    expect(fileIn(folder, 'report.html')).toContain('Privacy (SIMULATED)');
    const rounds = await roundsOf(folder);
    expect(rounds.map(({ privacy }) => privacy?.stamp)).toEqual(['SIMULATED', 'SIMULATED']);
    for (const { privacy } of rounds) {
      expect(privacy).toMatchObject({ clippedShare: 1, observed: { clippedByServer: 0 }, denominator: 3 });
      expect(privacy!.medianNorm).toBeGreaterThan(0.05);
      expect(privacy!.noiseStd).toBeCloseTo((0.5 * 0.05) / 3, 8);
    }
    for (const metric of metricsOf(await readEvents(folder)))
      if (metric.type === 'client') expect(metric.updateNorm).toBeLessThanOrEqual(0.05 * (1 + 1e-12));
  });

  it('goes on bit for bit where it was stopped, with the clip norm that it had', async () => {
    const adaptive = [
      'privacy.clientLevel={"clip":{"kind":"adaptive","norm":0.05,"countNoise":1},"noiseMultiplier":0.5}',
    ];
    const whole = await runWith(adaptive);
    const out = small.out(`run-${runs++}`);
    const controller = new AbortController();
    const stopped = run(small.recipe, {
      out,
      overrides: ['workers=1', ...adaptive],
      signal: controller.signal,
      onProgress: (event) => {
        if (event.type === 'round-closed' && event.round === 1) controller.abort();
      },
    });
    await expect(stopped).rejects.toMatchObject({ code: 'INTERRUPTED' });
    rmSync(join(out, 'adapter'), { recursive: true, force: true });
    const resumed = await runWith(adaptive, { out, resume: true });
    expect(adapterDigest(resumed.folder)).toBe(adapterDigest(whole.folder));
    const rounds = await roundsOf(resumed.folder);
    expect(rounds).toEqual(await roundsOf(whole.folder));
    expect(rounds[1]!.privacy!.clipNorm).toBe(rounds[0]!.privacy!.nextClipNorm);
    expect(rounds[1]!.privacy!.clipNorm).not.toBe(0.05);
  });

  it.each([
    ['ffa-lora', 'federation.method={"kind":"ffa-lora"}'],
    ['int8', 'federation.compression={"kind":"int8"}'],
  ])('takes %s', async (_, override) => {
    const { results } = await runWith([...privacy(0.05, 0.1), override]);
    expect(results.federated.test?.pooled.loss).toBeTypeOf('number');
    expect(results.privacy!.noiseToSignal).toBeGreaterThan(0);
  });

  it('with noise in a tree counts an owner once in each, says so, and is the same again', async () => {
    const level = {
      mechanism: 'tree',
      treeRounds: 2,
      clip: { norm: 0.05 },
      noiseMultiplier: 0.5,
      delta: 0.05,
    };
    const overrides = [
      `privacy.clientLevel=${JSON.stringify(level)}`,
      'federation.cohortSize=1',
      'federation.method={"kind":"fedavgm"}',
    ];
    const { folder, results } = await runWith(overrides);
    expect(results.privacy).toMatchObject({ stamp: 'SIMULATED', participations: 1, tree: { leaves: 2 } });
    expect(results.privacy!.statement).toMatch(
      /every node of a binary tree over 2 rounds .* no ε|no ε .* binary tree over 2 rounds/,
    );
    const rounds = await roundsOf(folder);
    expect(rounds.map(({ privacy }) => privacy?.tree)).toEqual([
      { leaf: 1, nodes: 1 },
      { leaf: 2, nodes: 1 },
    ]);
    expect(rounds[1]!.privacy!.noiseStd / rounds[0]!.privacy!.noiseStd).toBeCloseTo(Math.SQRT2, 8);
    expect(adapterDigest((await runWith(overrides)).folder)).toBe(adapterDigest(folder));
  });

  it('draws cohorts by coins of the seed, claims no ε, and says what it would cost', async () => {
    const level = {
      sampling: 'poisson',
      population: 3,
      clip: { norm: 0.05 },
      noiseMultiplier: 0.5,
      delta: 0.05,
    };
    const { folder, results } = await runWith([
      ...[
        `privacy.clientLevel=${JSON.stringify(level)}`,
        'federation.cohortSize=1',
        'federation.rounds=4',
        'seed=2',
      ],
    ]);
    expect(results.privacy!.statement).toMatch(/^SIMULATED .* knows who was drawn.* would cost/);
    const rounds = await roundsOf(folder);
    expect(rounds.map(({ privacy }) => privacy!.denominator)).toEqual([1, 1, 1, 1]);
    expect(new Set(rounds.map(({ participants }) => participants)).size).toBeGreaterThan(1);
    expect(rounds.some(({ participants }) => participants === 0)).toBe(true);
  });

  it('does not start where a client’s part has no bound', async () => {
    const refused = (...more: string[]) => expect(runWith([...privacy(1, 1), ...more])).rejects;
    await refused('federation.weighting=examples').toThrow('as often as it says');
    await refused('federation.selection={"kind":"oort"}').toThrow('without noise');
    await refused('privacy.clientLevel.noiseMultiplier=-1').toThrow('≥ 0');
    await refused('privacy.clientLevel.clip.countNoise=1').toThrow('is for clip.kind: adaptive');
    await refused('privacy.clientLevel.targetEpsilon=1').toThrow('is required with targetEpsilon');
    await refused('privacy.clientLevel.treeRounds=2').toThrow('is for mechanism: tree');
    await refused('privacy.clientLevel.mechanism=tree').toThrow('lower federation.cohortSize');
    await refused('privacy.clientLevel.population=4').toThrow('there are 3 owners');
    await refused('privacy.clientLevel.sampling=poisson').toThrow('owners are drawn with probability');
  });
});

describe('a simulated run whose clients add the noise', () => {
  const own = (trust: string, more: object = {}) => [
    `privacy.clientLevel=${JSON.stringify({ trust, clip: { norm: 0.05 }, noiseMultiplier: 0.3, delta: 0.05, ...more })}`,
  ];
  const masks = 'privacy.secureAggregation={"mode":"two-server"}';
  const quorum = 'federation.quorum=3';

  it.each([
    ['local', [], /every client added noise .* would cost \(ε, δ\)/],
    ['distributed', [masks, quorum], /the clients of a round together added noise .* would cost \(ε, δ\)/],
  ] as const)('trust: %s', async (trust, more, says) => {
    const overrides = [...own(trust), ...more, 'federation.method={"kind":"ffa-lora"}'];
    const { folder, results } = await runWith(overrides);
    expect(results.privacy!.statement).toMatch(says);
    expect(results.privacy!.participations).toBe(2);
    const [round] = await roundsOf(folder);
    expect(round!.privacy!.observed).toBeUndefined();
    const parts = trust === 'local' ? Math.sqrt(3) : 1;
    expect(round!.privacy!.noiseStd).toBeCloseTo((0.3 * 0.05 * parts) / 3, 4);
    expect(adapterDigest((await runWith(overrides)).folder)).toBe(adapterDigest(folder));
  });

  it('does not start where a part of the noise would have to be enough, or another figure is meant', async () => {
    await expect(runWith([...own('distributed'), quorum])).rejects.toThrow('too little for the update alone');
    await expect(runWith(own('distributed'))).rejects.toThrow('the parts of so many clients');
    await expect(runWith([...own('central'), masks])).rejects.toThrow('set trust: distributed');
    await expect(runWith(own('local', { neighbours: 'zero-out' }))).rejects.toThrow('expected replace-one');
  });
});

const examples = (more: object) => [
  `privacy.exampleLevel=${JSON.stringify({ clip: { norm: 0.5 }, delta: 0.05, ...more })}`,
];

describe('a simulated run whose owners protect each example', () => {
  it('says SIMULATED everywhere, what it would cost, and is the same again', async () => {
    const how = examples({ targetEpsilon: 4 });
    const { folder, resultFolder, results } = await runWith(how);
    const { statement, owners, wouldCost, guarantee } = results.examplePrivacy!;
    expect(statement).toMatch(/^SIMULATED .* no ε is claimed/);
    expect(guarantee).toBeNull();
    expect(wouldCost).toBeGreaterThan(3.9);
    expect(wouldCost).toBeLessThanOrEqual(4);
    expect(fileIn(resultFolder, 'README.md')).toContain('would cost (ε, δ) = (4');
    await writeReport(folder);
    expect(fileIn(folder, 'report.html')).toContain('Privacy of examples (SIMULATED)');
    expect(owners.map(({ trainings, steps }) => [trainings, steps])).toEqual([
      [2, 2],
      [2, 2],
      [2, 2],
    ]);
    // The owner with the fewest examples takes the largest share of them, and needs most noise.
    expect(owners[0]!.noiseMultiplier).toBeGreaterThan(owners[2]!.noiseMultiplier);
    expect(adapterDigest((await runWith(how)).folder)).toBe(adapterDigest(folder));
  });

  it.each(['ffa-lora', 'scaffold', 'fedadam', 'fednova'])('takes %s', async (kind) => {
    const sgd = 'training.optimizer={"kind":"sgd","learningRate":0.01}';
    const overrides = [...examples({ noiseMultiplier: 1 }), `federation.method={"kind":"${kind}"}`, sgd];
    const { results } = await runWith(overrides);
    expect(results.federated.test?.pooled.loss).toBeTypeOf('number');
  });

  it('ends for an owner whose budget is spent', async () => {
    const { results } = await runWith([
      ...examples({ noiseMultiplier: 0.7, targetEpsilon: 5 }),
      'federation.rounds=12',
      'federation.quorum=1',
    ]);
    expect(results.rounds.run).toBeLessThan(12);
    expect(results.examplePrivacy!.wouldCost).toBeLessThanOrEqual(5);
    const trainings = results.examplePrivacy!.owners.map((owner) => owner.trainings);
    expect(trainings).toEqual(results.examplePrivacy!.owners.map((owner) => owner.maxTrainings));
  });

  it('does not start where something else than noised steps would leave an owner', async () => {
    const refused = (...more: string[]) =>
      expect(runWith([...examples({ noiseMultiplier: 1 }), ...more])).rejects;
    await refused('federation.method={"kind":"ditto"}').toThrow('personal model on the same examples');
    await refused('federation.method={"kind":"fedkseed"}').toThrow('does not say what of');
    await refused('federation.selection={"kind":"oort"}').toThrow('losses, which are told without noise');
    await refused('federation.weighting=tokens').toThrow('how long the examples are');
    await refused('privacy.exampleLevel.delta=0.5').toThrow('more than one in');
    await refused(...privacy(1, 1)).toThrow('a run states one');
    await expect(runWith(examples({}))).rejects.toThrow('is required, or targetEpsilon');
  });
});
