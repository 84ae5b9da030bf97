import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { adapterDigest, fileIn, type SmallRun, smallRun } from '../../test/support/small-run.ts';
import type { ClientMetric } from '../runs/metrics.ts';
import { type FinishedRun, run } from './run.ts';

let small: SmallRun;
beforeAll(() => {
  const files = { train: { files: 'data/pairs.jsonl' }, test: { files: 'data/pairs.jsonl' } };
  small = smallRun({
    data: {
      ...files,
      schema: { kind: 'preference', prompt: '{prompt}' },
      ownerColumn: 'owner',
      maxLength: 32,
    },
    training: {
      objective: { kind: 'dpo' },
      batchSize: 2,
      optimizer: { kind: 'adamw', learningRate: 0.01 },
    },
    baselines: { localOnly: false, centralised: true },
    evaluation: { tasks: [{ kind: 'preference-reward' }, { kind: 'preference' }], batchSize: 4 },
  });
  const rows = ['ann', 'ben', 'cid'].flatMap((owner) =>
    Array.from({ length: 4 }, (_, i) =>
      JSON.stringify({
        owner,
        prompt: `number ${i} of ${owner} says:`,
        chosen: ' a cat sat there',
        rejected: ' a dog ran far away',
      }),
    ),
  );
  writeFileSync(join(small.root, 'data', 'pairs.jsonl'), `${rows.join('\n')}\n`);
});
afterAll(() => small.remove());

let count = 0;
const runWith = (...overrides: string[]) =>
  run(small.recipe, { out: small.out(`run-${count++}`), overrides });

function clients({ folder }: FinishedRun): ClientMetric[] {
  const lines = fileIn(folder, 'metrics.jsonl').trim().split('\n');
  return lines.map((line) => JSON.parse(line)).filter(({ type }) => type === 'client');
}

const test = ({ results }: FinishedRun) => results.federated.test!.pooled;

it('federated DPO moves chosen answers up next to the model that it starts from, with any number of workers', async () => {
  const [one, two] = [await runWith('workers=1'), await runWith('workers=2')];
  expect(adapterDigest(one.folder)).toBe(adapterDigest(two.folder));
  const { base, centralised } = one.results;
  expect(base.test!.pooled).toMatchObject({ rewardAccuracy: 0.5, rewardMargin: 0 });
  expect(test(one).rewardAccuracy).toBe(1);
  expect(test(one).rewardMargin).toBeGreaterThan(0.01);
  const margin = (scores: Readonly<Record<string, number | null>>) => scores.preferenceMarginLogprob!;
  // Both tasks see the same shift: β times the change of log p(chosen) − log p(rejected).
  expect(test(one).rewardMargin).toBeCloseTo(0.1 * (margin(test(one)) - margin(base.test!.pooled)), 5);
  expect(centralised!.test!.pooled.rewardMargin).toBeGreaterThan(0.01);
  const [first, ...others] = clients(one);
  expect(first!.figures!.rewardAccuracy).toBeGreaterThanOrEqual(0.5);
  expect(first!.numExamples).toBe(4);
  expect(others.at(-1)!.meanLoss).toBeLessThan(Math.LN2);
});

it.each([
  'federation.method={"kind":"ffa-lora"}',
  'federation.method={"kind":"flexlora"}',
  'federation.method={"kind":"q-fedavg"}',
  'federation.method={"kind":"fedmezo"}',
])('is what %s minimises too', async (method) => {
  const finished = await runWith(method, 'workers=1', 'baselines.centralised=false');
  // The first step of a LoRA run is taken at the reference itself; estimates from losses look a little beside it.
  const [first] = clients(finished).filter(({ round }) => round === 1);
  expect(Math.abs(first!.meanLoss! - Math.LN2)).toBeLessThan(0.2);
  expect(test(finished).rewardMargin).not.toBe(0);
});

it.each([
  ['federation.method={"kind":"fedsdr"}', 'has the model write each answer anew'],
  ['federation.method={"kind":"chainfed","lambda":0}', 'nothing next to the whole network'],
  [
    'data.schema={"kind":"prompt-completion","prompt":"{prompt}","completion":"{chosen}"}',
    'gives pairs of answers (preference)',
  ],
  ['data.schema={"kind":"text","column":"chosen"}', 'gives pairs of answers (preference)'],
  ['data.packing=true', 'both answers of a pair'],
  ['federation.keepBest=true', 'does not minimise'],
  ['training.objective={"kind":"dpo","beta":0}', 'a number > 0'],
  ['training.objective={"kind":"dop"}', 'did you mean "dpo"'],
])('%s is refused before anything starts', async (override, message) => {
  await expect(runWith(override)).rejects.toThrow(message);
});

it('a row without an answer is named with its place', async () => {
  const broken = join(small.root, 'data', 'broken.jsonl');
  writeFileSync(broken, `${JSON.stringify({ owner: 'ann', prompt: 'says:', chosen: ' a cat' })}\n`);
  await expect(runWith('data.train.files=data/broken.jsonl')).rejects.toMatchObject({
    code: 'DATA_INVALID',
    where: expect.stringContaining('broken.jsonl:1'),
    message: expect.stringContaining('there is no column "rejected"'),
  });
});
