import { expect, it } from 'vitest';
import { digestBytes } from '../../base/canonical.ts';
import { bindMethod } from '../../federation/method.ts';
import { methods } from '../../federation/methods/registry.ts';
import type { RunPlan } from '../../federation/plan.ts';
import type { CutJob, CutResult } from '../../jobs/jobs.ts';
import { createDown } from './down.ts';

const tensors = [
  { name: 'layers.0.q_proj.lora_A.weight', shape: [4, 6] },
  { name: 'layers.0.q_proj.lora_B.weight', shape: [8, 4] },
];
const plan = { seed: 1, tensors } as unknown as RunPlan;

/** A file of a hundred bytes that follows from what was asked for. */
function cutting(kind: string, options: object, maxFileBytes?: number) {
  const record = methods.get(kind)!;
  const method = bindMethod(record, record.options.parse(options));
  const jobs: CutJob[] = [];
  const cut = async (job: CutJob): Promise<CutResult> => {
    jobs.push(job);
    const name = `${job.part} ${job.params} ${job.round} ${method.receivesAs(job.owner)}`;
    const file = new Uint8Array(Buffer.from(name.padEnd(100)));
    return { digest: digestBytes(file), bytes: 100, ...(job.withFile ? { file } : {}) };
  };
  return { jobs, ...createDown(method, cut, maxFileBytes) };
}

const asked = (owner: string, round = 1) => ({ owner, round, params: `params of ${round}` });

it('nothing is cut where everybody is sent the params', async () => {
  const { down, jobs } = cutting('fedavg', {});
  expect(await down(plan, asked('ann'))).toBeUndefined();
  expect(jobs).toEqual([]);
});

it('one cut for all who receive the same, also when they ask at once', async () => {
  const { down, jobs } = cutting('flexlora', { ranks: { owners: { ann: 1, ben: 1, cid: 2 } } });
  const all = await Promise.all(['ann', 'ben', 'cid'].map((owner) => down(plan, asked(owner))));
  await Promise.all(all.map((found) => found!.sent.file()));
  expect(all.map((found) => found!.rest)).toEqual([null, null, null]);
  expect(all[0]!.sent.digest).toBe(all[1]!.sent.digest);
  expect(all[0]!.sent.digest).not.toBe(all[2]!.sent.digest);
  expect(jobs.map(({ owner, withFile }) => [owner, withFile])).toEqual([
    ['ann', true],
    ['cid', true],
  ]);
});

it('the rest is named, and made only for those who ask for it', async () => {
  const { down, jobs } = cutting('ffa-lora', {});
  const first = await down(plan, asked('ann'));
  expect(jobs.map(({ part, withFile }) => [part, withFile])).toEqual([
    ['sent', true],
    ['rest', false],
  ]);
  expect(digestBytes(await first!.rest!.file())).toBe(first!.rest!.digest);
  expect(jobs).toHaveLength(3);
});

it('forgets files beyond its room, and makes them again', async () => {
  const { down, jobs } = cutting('ffa-lora', {}, 250);
  const rounds = [1, 2, 3, 4];
  for (const round of rounds) await down(plan, asked('ann', round));
  const before = jobs.length;
  const [first, , , last] = await Promise.all(rounds.map((round) => down(plan, asked('ben', round))));
  expect(jobs.length).toBe(before);
  await last!.sent.file();
  expect(jobs.length).toBe(before);
  expect(digestBytes(await first!.sent.file())).toBe(first!.sent.digest);
  expect(jobs.length).toBe(before + 1);
});

it('a cut that failed is tried again', async () => {
  const record = methods.get('ffa-lora')!;
  let fails = 1;
  const cut = async ({ withFile }: CutJob): Promise<CutResult> => {
    if (fails-- > 0) throw new Error('the disk');
    return { digest: 'd', bytes: 1, ...(withFile ? { file: new Uint8Array(1) } : {}) };
  };
  const { down } = createDown(bindMethod(record, record.options.parse({})), cut);
  await expect(down(plan, asked('ann'))).rejects.toThrow('the disk');
  expect((await down(plan, asked('ann')))!.sent.digest).toBe('d');
});
