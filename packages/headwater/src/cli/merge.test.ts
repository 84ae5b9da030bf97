import { mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { FIXTURES } from '../../test/training-setup.ts';
import { openCheckpoint } from '../models/checkpoint-node.ts';
import { writeAdapterFolder } from '../training/adapter-folder-node.ts';
import { exportGgufCommand } from './export-gguf.ts';
import { mergeCommand } from './merge.ts';
import { readWeightedAdapters } from './weighted-adapters.ts';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'headwater-cli-merge-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const base = join(FIXTURES, 'huggingface/llama');
const adapter = join(base, 'adapter');

it('an adapter is a folder with or without a weight, also where its name has an equals sign', async () => {
  const model = await openCheckpoint(base);
  const [plain, half] = await readWeightedAdapters([adapter, `${adapter}=-0.5`], model);
  expect([plain!.weight, plain!.source]).toEqual([1, adapter]);
  expect([half!.weight, half!.source]).toEqual([-0.5, adapter]);
  const odd = join(scratch, 'alpha=0.5');
  await writeAdapterFolder(join(scratch, 'x'), plain!.tuning, plain!.params, 'llama');
  await rename(join(scratch, 'x'), odd);
  expect(await readWeightedAdapters([odd, `${odd}=2`], model)).toMatchObject([
    { source: odd, weight: 1 },
    { source: odd, weight: 2 },
  ]);
  await expect(readWeightedAdapters([`${adapter}=much`], model)).rejects.toMatchObject({
    code: 'OPTION_INVALID',
    message: expect.stringContaining('"much"'),
  });
});

it('headwater merge writes the folder and says what changed', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  const out = join(scratch, 'merged');
  await mergeCommand().parseAsync(['--model', base, '--adapter', adapter, '--out', out], { from: 'user' });
  expect(log.mock.lastCall![0]).toBe(`14 of 21 tensors changed, 105 kB in model.safetensors: ${out}`);
  expect(await readdir(out)).toContain('model.safetensors');
  log.mockRestore();
});

it('headwater export-gguf --adapter-only takes exactly one adapter', async () => {
  const run = (...args: string[]) =>
    exportGgufCommand().parseAsync(['--model', base, '--out', join(scratch, 'a.gguf'), ...args], {
      from: 'user',
    });
  await expect(run('--adapter-only')).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  await expect(run('--adapter-only', '--adapter', adapter, '--adapter', adapter)).rejects.toMatchObject({
    message: '--adapter-only with 2 adapters',
  });
  const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
  await run('--adapter-only', '--adapter', adapter, '--type', 'f32');
  expect(log.mock.lastCall![0]).toMatch(/^28 tensors, 17 kB: /);
  log.mockRestore();
});
