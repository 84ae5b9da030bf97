import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterDigest, fileIn, type SmallRun, smallRun } from '../../test/support/small-run.ts';
import { writeReport } from '../report/write.ts';
import { type ClientMetric, metricsOf, type RoundMetric } from '../runs/metrics.ts';
import { readEvents } from '../runs/run-folder.ts';
import { run } from './run.ts';

let small: SmallRun;
beforeAll(() => {
  const federation = { rounds: 2, localSteps: 1, weighting: 'uniform' };
  const evaluation = {
    tasks: [{ kind: 'exact-match' }, { kind: 'attack-success', trigger: 'please', target: ' cat' }],
    batchSize: 4,
  };
  small = smallRun({ federation, evaluation, baselines: { localOnly: false, centralised: false } });
});
afterAll(() => small.remove());

let runs = 0;
const attack = (kind: string, more: object = {}) =>
  `simulation.attack=${JSON.stringify({ kind, owners: ['ben'], ...more })}`;

function runWith(
  overrides: readonly string[],
  options: { readonly out?: string; readonly resume?: boolean; readonly signal?: AbortSignal } = {},
  onRound?: (round: number) => void,
) {
  const out = options.out ?? small.out(`run-${runs++}`);
  return run(small.recipe, {
    ...options,
    out,
    overrides: ['workers=1', ...overrides],
    onProgress: (event) => {
      if (event.type === 'round-closed') onRound?.(event.round);
    },
  });
}

async function told(folder: string) {
  const metrics = metricsOf(await readEvents(folder));
  return {
    rounds: metrics.filter((metric): metric is RoundMetric => metric.type === 'round'),
    clients: metrics.filter((metric): metric is ClientMetric => metric.type === 'client'),
  };
}

const MEDIAN = 'federation.robust={"kind":"median","byzantine":1}';

describe('a simulated run with adversaries', () => {
  it('says so everywhere, and shows whom a rule left out', async () => {
    const krum = 'federation.robust={"kind":"multi-krum","byzantine":0,"keep":2}';
    const { folder, resultFolder, results } = await runWith([attack('ipm', { factor: 50 }), krum]);
    expect(results.attack).toMatchObject({ stamp: 'ATTACKED (SIMULATED)', kind: 'ipm', owners: ['ben'] });
    expect(fileIn(resultFolder, 'README.md')).toContain('ATTACKED (SIMULATED): 1 of 3 owners (ben)');
    await writeReport(folder);
    expect(fileIn(folder, 'report.html')).toContain('ATTACKED (SIMULATED)');
    expect(fileIn(folder, 'report.html')).toContain('ben*');
    const { rounds } = await told(folder);
    expect(rounds.map(({ voices }) => voices)).toEqual([
      { ann: 1.5, ben: 0, cid: 1.5 },
      { ann: 1.5, ben: 0, cid: 1.5 },
    ]);
  });

  it('sees what honest owners send, and goes on bit for bit where it was stopped', async () => {
    const asked = [attack('alie', { z: 1 }), MEDIAN];
    const whole = await runWith(asked);
    const out = small.out(`run-${runs++}`);
    const controller = new AbortController();
    const stopped = runWith(asked, { out, signal: controller.signal }, (round) => {
      if (round === 1) controller.abort();
    });
    await expect(stopped).rejects.toMatchObject({ code: 'INTERRUPTED' });
    rmSync(join(out, 'adapter'), { recursive: true, force: true });
    const resumed = await runWith(asked, { out, resume: true });
    expect(adapterDigest(resumed.folder)).toBe(adapterDigest(whole.folder));
    const { clients } = await told(resumed.folder);
    expect(clients.filter(({ owner }) => owner === 'ben').map(({ steps }) => steps)).toEqual([0, 0]);
  });

  it('does not give itself away by sending the same from several owners', async () => {
    const { results } = await runWith([attack('ipm', { owners: ['ben', 'cid'] }), 'federation.rounds=1']);
    expect(results.lostUpdates).toEqual([]);
  });

  it('sends NaN, which is refused and reported', async () => {
    const { folder, results } = await runWith([attack('nan'), 'federation.quorum=2']);
    expect(results.lostUpdates.map(({ owner }) => owner)).toEqual(['ben', 'ben']);
    const { clients } = await told(folder);
    expect(clients.filter(({ accepted }) => !accepted)).toMatchObject([{ owner: 'ben' }, { owner: 'ben' }]);
    await expect(runWith([attack('nan')])).rejects.toThrow('federation.quorum is 3 of 3');
  });

  it('learns from other examples, and how often a backdoor works is counted', async () => {
    const backdoor = attack('backdoor', { trigger: 'please', target: ' cat', share: 1 });
    const { folder, results } = await runWith([backdoor]);
    expect(results.federated.test!.pooled.attackSuccess).toBeTypeOf('number');
    const plain = await runWith([]);
    expect(plain.results.attack).toBeUndefined();
    expect(adapterDigest(folder)).not.toBe(adapterDigest(plain.folder));
    // Only what the adversary holds was changed.
    const losses = async (where: string) =>
      (await told(where)).clients.filter(({ round }) => round === 1).map(({ meanLoss }) => meanLoss);
    const [a, b] = [await losses(folder), await losses(plain.folder)];
    expect([a[0] === b[0], a[1] === b[1], a[2] === b[2]]).toEqual([true, false, true]);
  });

  it('holds updates against what the server learns on public examples', async () => {
    const open = ['data.public.files=data/test.csv', 'federation.robust.kind=fltrust'];
    const { folder } = await runWith([attack('sign-flip'), ...open]);
    const { rounds } = await told(folder);
    // The adversary points away from what the server learnt.
    expect(rounds.map(({ voices }) => voices!.ben)).toEqual([0, 0]);
    for (const { voices } of rounds) expect(voices!.ann).toBeGreaterThan(0);
  });

  it('does not start where a rule or an attack cannot be what it says', async () => {
    const refused = (...overrides: string[]) => expect(runWith(overrides)).rejects;
    await refused(attack('sign-flip', { owners: ['zoe'] })).toThrow('whom the data do not have');
    await refused('federation.robust={"kind":"krum","byzantine":1}').toThrow('needs 2f + 3 = 5 updates');
    await refused('federation.robust={"kind":"krumm"}').toThrow('unknown robust rule');
    await refused('federation.robust={"kind":"median","preAggregation":[{"kind":"nnn"}]}').toThrow(
      'unknown step before a robust rule',
    );
  });
});
