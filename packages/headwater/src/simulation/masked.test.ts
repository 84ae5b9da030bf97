import { afterAll, describe, expect, it } from 'vitest';
import { adapterDigest, fileIn, smallRun } from '../../test/support/small-run.ts';
import { writeReport } from '../report/write.ts';
import { readEvents } from '../runs/run-folder.ts';
import { run } from './run.ts';

const NO_BASELINES = { localOnly: false, centralised: false };
const FEDERATION = { rounds: 2, localSteps: 1, weighting: 'uniform' };
/** Fifteen owners, so that five groups of three can vote. */
const PARTITION = { kind: 'iid', clients: 15 };

/** Scored by the loss alone: nothing is written. */
const evaluation = { tasks: [{ kind: 'perplexity' }], batchSize: 8 };
const small = smallRun({ federation: FEDERATION, baselines: NO_BASELINES, evaluation });
afterAll(() => small.remove());

let runs = 0;
function runWith(overrides: readonly string[]) {
  return run(small.recipe, { out: small.out(`run-${runs++}`), overrides: ['workers=1', ...overrides] });
}

const two = (more = '') => `privacy.secureAggregation={ mode: two-server${more} }`;

describe('a simulated run with masks', () => {
  it('is the plain run bit for bit, and says that its masks hide nothing', async () => {
    const masked = await runWith([two()]);
    const { fractionBits, range } = masked.results.fixedPoint;
    expect({ fractionBits, range }).toEqual({ fractionBits: 29, range: 1 });
    const scale = `federation.fixedPoint={ fractionBits: ${fractionBits}, range: ${range} }`;
    const plain = await runWith([scale]);
    expect(adapterDigest(masked.folder)).toBe(adapterDigest(plain.folder));
    expect(masked.results.bytes.up / plain.results.bytes.up).toBeLessThan(1.1);
    const said = /SIMULATED secure aggregation: .*hide nothing/;
    expect(masked.results.secureAggregation).toMatchObject({
      stamp: 'SIMULATED',
      statement: expect.stringMatching(said),
    });
    expect(fileIn(masked.resultFolder, 'README.md')).toMatch(said);
    await writeReport(masked.folder);
    expect(fileIn(masked.folder, 'report.html')).toMatch(said);
    const updates = (await readEvents(masked.folder)).filter((event) => event.type === 'update-received');
    for (const { check } of updates) expect(check).toEqual({ ok: true, l2Norm: null });
  });

  it('lets a robust rule be over groups, which bears an adversary that a mean does not', async () => {
    const crowd = [`partition=${JSON.stringify(PARTITION)}`, 'federation.rounds=1'];
    const attack = 'simulation.attack={ kind: ipm, owners: 1, factor: 1000 }';
    const rule = 'federation.robust={ kind: median, byzantine: 0 }';
    const groups = await runWith([...crowd, attack, rule, two(', groupSize: 3')]);
    const mean = await runWith([...crowd, attack, two()]);
    const reports = (await readEvents(groups.folder)).flatMap((event) =>
      event.type === 'aggregated' ? [event.report] : [],
    );
    for (const report of reports) expect(report).toMatchObject({ groups: 5, numUpdates: 15 });
    const lossOf = ({ results }: typeof mean) => results.federated.test!.pooled.loss!;
    expect(lossOf(groups)).toBeLessThan(lossOf(mean));
  });

  it('refuses a rule over single updates, too few groups, and groups without a rule', async () => {
    const median = 'federation.robust={ kind: median, byzantine: 1 }';
    const refusal = async (overrides: string[]) => runWith(overrides).then(String, (error) => error.message);
    expect(await refusal([median, two()])).toContain('looks at single updates, which masks hide');
    expect(await refusal([two(', groupSize: 3')])).toContain('only federation.robust needs');
    expect(await refusal([median, two(', groupSize: 3')])).toContain('needs more than 2f + 3 = 5 groups');
    expect(await refusal([two(), 'federation.compression.kind=int8'])).toContain('compression int8');
  });
});
