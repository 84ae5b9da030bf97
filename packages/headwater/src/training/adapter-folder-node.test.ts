import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterFor, WRITTEN } from '../../test/fixtures/huggingface/write-adapters.ts';
import { adapterToWrite } from '../../test/fixtures/training/write-adapter.ts';
import { FIXTURES, setup } from '../../test/training-setup.ts';
import { writeSynced } from '../base/durable-node.ts';
import { openCheckpoint } from '../models/checkpoint-node.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { tuningOf } from '../tuning/combined.ts';
import { frozen } from '../tuning/frozen.ts';
import { full } from '../tuning/full.ts';
import { readAdapterFolder, writeAdapterFolder } from './adapter-folder-node.ts';
import { createEngine } from './engine-core.ts';
import { writeFolder } from './folder-node.ts';
import { writeModelFolder } from './model-folder-node.ts';
import { relativeError } from './verify.ts';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'headwater-adapter-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const written = join(FIXTURES, 'training/written-adapter');

describe('an adapter folder written here', () => {
  it('has the bytes that PEFT was shown', async () => {
    const { tuning, params } = await adapterToWrite();
    const folder = join(scratch, 'again');
    await writeAdapterFolder(folder, tuning, params, 'llama');
    for (const file of ['adapter_config.json', 'adapter_model.safetensors'])
      expect(await readFile(join(folder, file))).toEqual(await readFile(join(written, file)));
    expect((await readdir(folder)).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
  });

  it('gives the logits that PEFT computed from it', async () => {
    const golden = JSON.parse(await readFile(join(written, 'peft-logits.json'), 'utf8'));
    const model = await openCheckpoint(join(FIXTURES, 'huggingface/llama'));
    const { tuning, params, baseModel } = await readAdapterFolder(written, model.definition);
    expect(baseModel).toBe('llama');
    const logits = (parts: { tuning: typeof tuning; params: typeof params }) =>
      createEngine({ model, ...parts, executor: createNodeExecutor() }).logits(
        parts.params,
        Int32Array.from(golden.tokens),
      );
    const pair = (got: Float32Array, reference: number[][]) => ({
      name: '',
      got,
      reference: reference.flat(),
    });
    expect(relativeError(pair(await logits({ tuning, params }), golden.logits))).toBeLessThan(1e-6);
    const base = await logits({ tuning: frozen, params: new Map() });
    expect(relativeError(pair(base, golden.baseLogits))).toBeLessThan(1e-6);
    // The adapter matters: without it the logits are far off.
    expect(relativeError(pair(base, golden.logits))).toBeGreaterThan(0.1);
  });
});

describe('an adapter of each kind', () => {
  it.each(Object.entries(WRITTEN))(
    '%s has the bytes that PEFT or torch were shown',
    async (name, written) => {
      const { tuning, params } = await adapterFor(written);
      const folder = join(scratch, name);
      await writeAdapterFolder(folder, tuning, params, written.base);
      for (const file of ['adapter_config.json', 'adapter_model.safetensors']) {
        const shown = join(FIXTURES, 'huggingface', name, 'adapter', file);
        expect(await readFile(join(folder, file))).toEqual(await readFile(shown));
      }
      const model = await openCheckpoint(join(FIXTURES, 'huggingface', written.base));
      const read = await readAdapterFolder(folder, model.definition);
      expect(read.params).toEqual(params);
      expect(read.tuning.adapterConfig()).toEqual(tuning.adapterConfig());
    },
  );

  it.each(Object.entries(WRITTEN))('%s is refused by another base', async (name) => {
    const other = await openCheckpoint(join(FIXTURES, 'huggingface/smollm3'));
    const folder = join(FIXTURES, 'huggingface', name, 'adapter');
    const error = await readAdapterFolder(folder, other.definition).catch((cause) => cause);
    expect(error).toMatchObject({ code: 'ADAPTER_INVALID', where: folder });
  });
});

describe('two adapters at once', () => {
  it('give the logits of PEFT with both active, each times its weight', async () => {
    const golden = JSON.parse(await readFile(join(FIXTURES, 'huggingface/two-adapters.json'), 'utf8'));
    const model = await openCheckpoint(join(FIXTURES, 'huggingface/llama'));
    const adapters = await Promise.all(
      Object.entries<number>(golden.weights).map(async ([source, weight]) => {
        const folder = join(FIXTURES, 'huggingface', source, 'adapter');
        return { ...(await readAdapterFolder(folder, model.definition)), source, weight };
      }),
    );
    const { tuning, params } = tuningOf(adapters);
    const engine = createEngine({ model, tuning, executor: createNodeExecutor() });
    const got = await engine.logits(params, Int32Array.from(golden.tokens));
    expect(relativeError({ name: '', got, reference: golden.logits })).toBeLessThan(1e-6);
    expect(tuningOf(adapters.slice(0, 1)).tuning.kind).toBe('combined');
    expect(tuningOf([{ ...adapters[0]!, weight: 1 }]).tuning).toBe(adapters[0]!.tuning);
    expect(tuningOf([]).tuning).toBe(frozen);
  });
});

describe('reading an adapter folder', () => {
  it('names what is wrong with it', async () => {
    const { tuning, params } = await adapterToWrite();
    const model = await openCheckpoint(join(FIXTURES, 'huggingface/llama'));
    const folder = join(scratch, 'broken');
    const read = (layout = model.definition) => readAdapterFolder(folder, layout).catch((error) => error);
    expect(await read()).toMatchObject({ code: 'ADAPTER_INVALID' });
    await writeAdapterFolder(folder, tuning, params, 'llama');
    const other = await openCheckpoint(join(FIXTURES, 'huggingface/mistral'));
    const misfit = await read(other.definition);
    expect(misfit).toMatchObject({ code: 'ADAPTER_INVALID', where: folder });
    expect(misfit.hint).toContain('"llama"');
    await truncate(join(folder, 'adapter_model.safetensors'), 5000);
    expect(await read()).toMatchObject({ code: 'SAFETENSORS_INVALID' });
    await rm(join(folder, 'adapter_model.safetensors'));
    await writeFile(join(folder, 'adapter_model.bin'), 'x');
    expect((await read()).hint).toContain('pickle');
    await writeFile(join(folder, 'adapter_config.json'), '{');
    expect(await read()).toMatchObject({ code: 'ADAPTER_INVALID' });
  });
});

describe('folders', () => {
  it('keep the old content when writing fails half-way', async () => {
    const folder = join(scratch, 'atomic');
    await writeFolder(folder, (temporary) => writeSynced(join(temporary, 'a'), 'old'));
    const failed = writeFolder(folder, async (temporary) => {
      await writeSynced(join(temporary, 'a'), 'half of the n');
      throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
    });
    await expect(failed).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: expect.stringContaining('disk is full'),
    });
    expect(await readFile(join(folder, 'a'), 'utf8')).toBe('old');
    await writeFolder(folder, (temporary) => writeSynced(join(temporary, 'b'), 'new'));
    expect(await readdir(folder)).toEqual(['b']);
    expect((await readdir(scratch)).filter((name) => /tmp|old/.test(name))).toEqual([]);
  });

  it('fail clearly where a file stands in the way', async () => {
    await writeFile(join(scratch, 'file'), '');
    await expect(writeFolder(join(scratch, 'file/folder'), async () => {})).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
    });
  });
});

describe('a whole checkpoint written after full fine-tuning', () => {
  it('opens as a model with the trained weights', async () => {
    const { model, engine, params } = await setup('huggingface/qwen2', (m) =>
      full.bind(full.options.parse({}), m.definition),
    );
    const folder = join(scratch, 'checkpoint');
    await writeModelFolder(folder, model, params);
    const opened = await openCheckpoint(folder);
    const tokens = Int32Array.of(1, 5, 9, 13);
    const again = createEngine({ model: opened, tuning: frozen, executor: createNodeExecutor() });
    expect(await again.logits(new Map(), tokens)).toEqual(await engine.logits(params, tokens));
    expect(opened.eosTokenIds).toEqual(model.eosTokenIds);
  });
});
