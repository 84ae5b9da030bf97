import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterDigest, fileIn, type SmallRun, smallRun } from '../../test/support/small-run.ts';
import type { Progress } from '../jobs/progress.ts';
import { openCheckpoint } from '../models/checkpoint-node.ts';
import { readEvents } from '../runs/run-folder.ts';
import { comparisonOf } from '../runs/table.ts';
import { readAdapterFolder } from '../training/adapter-folder-node.ts';
import { type FinishedRun, run } from './run.ts';

let small: SmallRun;
let reference: FinishedRun;
const seen: Progress[] = [];

beforeAll(async () => {
  small = smallRun();
  const onProgress = (progress: Progress) => void seen.push(progress);
  reference = await run(small.recipe, { out: small.out('reference'), overrides: ['workers=1'], onProgress });
});
afterAll(() => small.remove());

describe('a real run, stories260K', () => {
  it('writes the run folder and nothing else', () => {
    expect(readdirSync(reference.folder).sort()).toEqual([
      'adapter',
      'blobs',
      'journal.sqlite',
      'metrics.jsonl',
      'recipe.yaml',
      'results.json',
      'run.lock',
    ]);
    expect(JSON.parse(fileIn(reference.folder, 'results.json'))).toEqual(
      JSON.parse(JSON.stringify(reference.results)),
    );
  });

  it('trains: the validation loss falls and the adapter is not the initial one', async () => {
    const losses = seen.flatMap((progress) =>
      progress.type === 'validated'
        ? [{ round: progress.round, loss: progress.result.pooled.loss ?? Number.NaN }]
        : [],
    );
    losses.sort((a, b) => a.round - b.round);
    expect(losses.map(({ round }) => round)).toEqual([0, 1, 2]);
    expect(losses[2]!.loss).toBeLessThan(losses[0]!.loss);
    expect(reference.results.params).not.toBe((await readEvents(reference.folder))[0]);
  });

  it('another number of workers gives the same adapter and the same metrics, byte for byte', async () => {
    const two = await run(small.recipe, { out: small.out('two'), overrides: ['workers=2'] });
    expect(adapterDigest(two.folder)).toBe(adapterDigest(reference.folder));
    expect(fileIn(two.folder, 'metrics.jsonl')).toBe(fileIn(reference.folder, 'metrics.jsonl'));
    expect(fileIn(two.folder, 'adapter/adapter_config.json')).toBe(
      fileIn(reference.folder, 'adapter/adapter_config.json'),
    );
  });

  it('another seed gives another adapter', async () => {
    const other = await run(small.recipe, {
      out: small.out('other-seed'),
      overrides: ['seed=4', 'baselines.localOnly=false', 'baselines.centralised=false'],
    });
    expect(adapterDigest(other.folder)).not.toBe(adapterDigest(reference.folder));
    expect(other.results.centralised).toBeNull();
    expect(comparisonOf(other.results)?.rows.map(({ label }) => label)).toEqual(['base', 'federated']);
  });

  it('the arms state what they saw, and the federation no more than they', () => {
    const { federated, centralised, localOnly } = reference.results;
    expect(federated).toMatchObject({ sequentialSteps: 4, totalSteps: 12, examplesSeen: 24 });
    expect(centralised).toMatchObject({ sequentialSteps: 12, totalSteps: 12, examplesSeen: 24 });
    for (const arm of Object.values(localOnly))
      expect(arm).toMatchObject({ sequentialSteps: 4, examplesSeen: 8 });
  });

  it('weights are the examples of the owners', () => {
    expect(
      reference.results.owners.map(({ owner, aggregationWeight }) => [owner, aggregationWeight]),
    ).toEqual([
      ['ann', 6],
      ['ben', 7],
      ['cid', 8],
    ]);
  });

  it('bytes up and down are those of the adapter file that travels', async () => {
    const updates = (await readEvents(reference.folder)).filter((event) => event.type === 'update-received');
    expect(updates).toHaveLength(6);
    const { up, down } = reference.results.bytes;
    expect(up).toBe(updates.reduce((sum, { upBytes }) => sum + upBytes, 0));
    expect(down).toBe(up);
    // Rank 2 on q_proj (64 → 64) and v_proj (64 → 32) of 5 layers, float32, plus the header.
    const tensorBytes = 4 * 5 * 2 * (64 + 64 + 64 + 32);
    for (const { upBytes } of updates) {
      expect(upBytes).toBeGreaterThan(tensorBytes);
      expect(upBytes).toBeLessThan(tensorBytes + 4096);
    }
  });

  it('progress counts every step and every scored sequence up to the stated totals', () => {
    const last = seen.findLast((progress) => progress.type === 'work-done');
    expect(last?.type === 'work-done' && last.done).toEqual(last?.type === 'work-done' && last.total);
  });

  it('a run in the way is not overwritten; resuming a finished run only tells its results again', async () => {
    const again = run(small.recipe, { out: reference.folder });
    await expect(again).rejects.toMatchObject({ code: 'RUN_EXISTS' });
    const before = (await readEvents(reference.folder)).length;
    const resumed = await run(small.recipe, { out: reference.folder, resume: true });
    expect(resumed.results).toEqual(reference.results);
    expect(await readEvents(reference.folder)).toHaveLength(before);
  });

  it('a stopped run continues to the same bits; a changed recipe is refused by name', async () => {
    const out = small.out('stopped');
    const controller = new AbortController();
    const stopped = run(small.recipe, {
      out,
      signal: controller.signal,
      onProgress: (progress) => {
        if (progress.type === 'round-closed') controller.abort();
      },
    });
    await expect(stopped).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(existsSync(join(out, 'adapter'))).toBe(false);
    expect(JSON.parse(fileIn(out, 'results.json'))).toMatchObject({ status: 'running', rounds: { run: 1 } });
    const changed = run(small.recipe, {
      out,
      resume: true,
      overrides: ['training.batchSize=1', 'federation.rounds=3'],
    });
    await expect(changed).rejects.toThrow(/federation.rounds, training.batchSize/);
    const continued = await run(small.recipe, { out, resume: true });
    expect(continued.results.timing.restarts).toBe(1);
    expect(adapterDigest(out)).toBe(adapterDigest(reference.folder));
    expect(fileIn(out, 'metrics.jsonl')).toBe(fileIn(reference.folder, 'metrics.jsonl'));
  });

  it('starts from an existing adapter, if the recipe describes the same one', async () => {
    const adapter = join(reference.folder, 'adapter');
    const overrides = [`adapter=${adapter}`, 'federation.rounds=1', 'baselines.localOnly=false'];
    const next = await run(small.recipe, { out: small.out('next'), overrides });
    const { params } = await readAdapterFolder(adapter, (await openCheckpoint(modelOf(next))).definition);
    expect(params.size).toBe(20);
    // The base of this run is the adapter: its test figures are those that the first run ended with.
    expect(next.results.base.test).toEqual(reference.results.federated.test);
    const other = run(small.recipe, { out: small.out('other'), overrides: [...overrides, 'tuning.alpha=8'] });
    await expect(other).rejects.toMatchObject({
      code: 'ADAPTER_INVALID',
      message: expect.stringContaining('lora_alpha'),
    });
  });

  it('kinds that train the whole model write a model folder', async () => {
    const overrides = ['tuning={"kind":"full"}', 'federation.rounds=1', 'baselines.localOnly=false'];
    const whole = await run(small.recipe, { out: small.out('whole'), overrides });
    expect(whole.resultFolder).toBe(join(whole.folder, 'model'));
    const [before, after] = await Promise.all(
      [modelOf(whole), whole.resultFolder].map((folder) => openCheckpoint(folder)),
    );
    expect([...after!.definition.parameters.keys()]).toEqual([...before!.definition.parameters.keys()]);
    expect(await after!.digest()).not.toBe(await before!.digest());
  });

  it('a method from a plug-in is found by the workers and does its work', async () => {
    const plugin = join(small.root, 'stubborn.ts');
    writeFileSync(
      plugin,
      `import { z } from ${JSON.stringify(import.meta.resolve('zod'))};
       export const methods = [{
         id: 'stubborn', summary: 'never moves', source: 'test 2026', options: z.object({}), secureAggregation: 'yes',
         serverStep: ({ params }: { params: unknown }) => ({ params }),
       }];`,
    );
    const overrides = ['federation.method={"kind":"stubborn"}', 'baselines.localOnly=false'];
    const stubborn = await run(small.recipe, { out: small.out('stubborn'), overrides, plugins: [plugin] });
    expect(stubborn.results.federated.test).toEqual(stubborn.results.base.test);
    expect(stubborn.results.rounds.run).toBe(2);
  });

  it('compressed updates: the bytes shrink as the compression says, the run still trains', async () => {
    const overrides = [
      'tuning.rank=16',
      'federation.rounds=1',
      'baselines.localOnly=false',
      'baselines.centralised=false',
    ];
    const bytesWith = async (compression: string) => {
      const out = small.out(`compressed-${compression}`);
      const more = [...overrides, `federation.compression={"kind":"${compression}"}`];
      const { results, folder } = await run(small.recipe, { out, overrides: more });
      const clients = fileIn(folder, 'metrics.jsonl')
        .split('\n')
        .filter((line) => line.includes('"type":"client"'));
      const up = clients.map((line) => (JSON.parse(line) as { upBytes: number }).upBytes);
      expect(results.bytes.up).toBe(up.reduce((sum, bytes) => sum + bytes, 0));
      // Of 3 clients: what is left without the header, which does not shrink.
      return { up: results.bytes.up / 3, down: results.bytes.down / 3 };
    };
    const plain = await bytesWith('none');
    expect(plain.up).toBe(plain.down);
    for (const [kind, factor] of [
      ['float16', 2],
      ['int8', 3.9],
      ['top-k', 5],
    ] as const) {
      const { up, down } = await bytesWith(kind);
      expect(down).toBe(plain.down);
      expect(up - 6000).toBeLessThan(plain.up / factor);
      expect(up).toBeGreaterThan(plain.up / factor / 1.1);
    }
  });

  it('a buffered run is refused: a simulation has no slow clients', async () => {
    const overrides = ['federation.mode={"kind":"buffered","bufferSize":2}'];
    const buffered = run(small.recipe, { out: small.out('buffered'), overrides });
    await expect(buffered).rejects.toMatchObject({
      code: 'RECIPE_INVALID',
      hint: expect.stringContaining('headwater serve'),
    });
  });

  it('stopped before it began it writes nothing', async () => {
    const out = small.out('unborn');
    const stopped = run(small.recipe, { out, signal: AbortSignal.abort() });
    await expect(stopped).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(existsSync(out)).toBe(false);
  });

  it('nothing to resume and foreign files in the way are clear errors', async () => {
    const missing = run(small.recipe, { out: small.out('none'), resume: true });
    await expect(missing).rejects.toMatchObject({ code: 'RUN_NOT_FOUND' });
    const foreign = small.out('foreign');
    mkdirSync(foreign);
    writeFileSync(join(foreign, 'notes.txt'), 'mine');
    await expect(run(small.recipe, { out: foreign })).rejects.toMatchObject({ code: 'RUN_EXISTS' });
    expect(readdirSync(foreign)).toEqual(['notes.txt']);
  });

  it('a recipe may be an object; its mistakes are told together', async () => {
    const { results } = reference;
    const again = await run({ ...results.recipe, workers: 2 }, { out: small.out('object') });
    expect(adapterDigest(again.folder)).toBe(adapterDigest(reference.folder));
    const training = { ...results.recipe.training, batchSize: 0 };
    const wrong = run({ ...results.recipe, training, seed: -1 }, { out: small.out('wrong') });
    await expect(wrong).rejects.toMatchObject({
      code: 'RECIPE_INVALID',
      message: expect.stringMatching(/2 mistakes/),
    });
  });

  it('mistakes of data are told before anything is written', async () => {
    const out = small.out('bad-data');
    const bad = run(small.recipe, { out, overrides: ['data.ownerColumn=nobody'] });
    await expect(bad).rejects.toMatchObject({ code: 'DATA_INVALID' });
    expect(existsSync(out)).toBe(false);
  });
});

function modelOf({ results }: FinishedRun): string {
  return results.recipe.model;
}
