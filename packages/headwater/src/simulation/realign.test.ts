import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { adapterDigest, type SmallRun, smallRun } from '../../test/support/small-run.ts';
import { decodeParams } from '../federation/params.ts';
import { isRealigned } from '../federation/realign.ts';
import { readEvents, runPaths } from '../runs/run-folder.ts';
import { openFileBlobs } from '../storage/file-blobs.ts';
import { contributions } from './contribution/contribute.ts';
import { run } from './run.ts';
import { openStoredRun } from './unlearning/stored-run.ts';

const SETTINGS = [
  'workers=1',
  'federation.weighting=uniform',
  'baselines.localOnly=false',
  'baselines.centralised=false',
  'evaluation.everyRounds=9',
];
const REALIGN = 'federation.realign={"steps":2,"everyRounds":2,"learningRate":0.02}';
const SECURE = 'privacy.secureAggregation={"mode":"two-server"}';

let small: SmallRun;
let safe: string;
beforeAll(() => {
  small = smallRun();
  const file = join(small.root, 'data', 'safe.csv');
  writeFileSync(file, 'prompt,answer\ncat says:, no\ndog says:, no\nbird says:, no\n');
  safe = `data.public=${JSON.stringify({ files: file })}`;
});
afterAll(() => small.remove());

const made = async (name: string, more: readonly string[]) => {
  const { folder } = await run(small.recipe, { out: small.out(name), overrides: [...SETTINGS, ...more] });
  const rounds = (await readEvents(folder)).flatMap((event) => (event.type === 'aggregated' ? [event] : []));
  return { folder, rounds };
};

it('in the rounds that it is for, and the last', () => {
  const plan = { rounds: 5, realign: { everyRounds: 2, steps: 1 } };
  expect([1, 2, 3, 4, 5].filter((round) => isRealigned(plan, round))).toEqual([2, 4, 5]);
  expect(isRealigned({ rounds: 5 }, 5)).toBe(false);
});

it('begins where the sum ends: the same bits where updates are masked', { timeout: 60_000 }, async () => {
  const fixed = 'federation.fixedPoint={"fractionBits":20,"range":1}';
  const plain = await made('plain', [fixed]);
  const aligned = await made('aligned', [fixed, REALIGN, safe]);
  const masked = await made('masked', [fixed, REALIGN, safe, SECURE]);
  expect(aligned.rounds[0]!.params).toBe(plain.rounds[0]!.params);
  expect(aligned.rounds[1]!.params).not.toBe(plain.rounds[1]!.params);
  expect(aligned.rounds.map(({ report }) => report.figures?.realignLoss !== undefined)).toEqual([
    false,
    true,
  ]);
  expect(aligned.rounds[1]!.aggregateNorm).toBe(plain.rounds[1]!.aggregateNorm);
  const blobs = await openFileBlobs(runPaths(aligned.folder).blobs);
  expect(decodeParams(await blobs.get(aligned.rounds[1]!.params)).size).toBeGreaterThan(0);
  expect(adapterDigest(masked.folder)).toBe(adapterDigest(aligned.folder));
});

it('is refused without examples of the server, and where no mean is made', async () => {
  await expect(made('nothing', [REALIGN])).rejects.toThrow('name a file of them as data.public');
  await expect(made('stacks', [REALIGN, safe, 'federation.method.kind=flora'])).rejects.toThrow(
    'choose a method that averages',
  );
});

it('what owners contribute is measured with it: all together are worth what the run came to', async () => {
  const kept = ['federation.keepUpdates=true', 'evaluation.everyRounds=1'];
  const { folder } = await made('kept', [REALIGN, safe, ...kept]);
  const stored = await openStoredRun(folder);
  await contributions(stored, { rounds: 2, permutations: 4, sample: 99 });
  const lines = readFileSync(runPaths(folder).coalitions, 'utf8').trim().split('\n');
  const worth = new Map(
    lines.map((line) => {
      const { coalition, rows } = JSON.parse(line) as { coalition: string; rows: number[] };
      return [coalition, rows.reduce((sum, value) => sum + value, 0) / rows.length];
    }),
  );
  for (const round of [1, 2]) {
    const { pooled } = stored.state.evaluations[`validation/${round}`]!;
    expect(worth.get(JSON.stringify([round, ['ann', 'ben', 'cid']]))).toBeCloseTo(-pooled.loss!, 5);
  }
  // Of nobody: where the server does not train, the params before the round; where it does, others.
  const nobody = (round: number) => worth.get(JSON.stringify([round, []]));
  expect(nobody(2)).not.toBeCloseTo(worth.get(JSON.stringify([1, ['ann', 'ben', 'cid']]))!, 5);
});
