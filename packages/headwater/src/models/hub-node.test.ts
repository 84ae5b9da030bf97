import { mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  COMMIT_SHA,
  type FakeHub,
  type FakeRepository,
  sha256,
  startFakeHub,
} from '../../test/support/fake-hub.ts';
import { rejection } from '../../test/support/outcome.ts';
import { type Tensor, tensor } from '../base/tensor.ts';
import { Graph } from '../graph/ir.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { baseSites } from './base-sites.ts';
import { openModel, readWeight } from './checkpoint-node.ts';
import { resolveModel } from './hub-node.ts';

const llama = new URL('../../test/fixtures/huggingface/llama/', import.meta.url);
const weights = new Uint8Array(await readFile(new URL('model.safetensors', llama)));
const blob = sha256(weights);

async function repository(): Promise<FakeRepository> {
  const files = new Map<string, Uint8Array>([
    ['README.md', new TextEncoder().encode('not needed')],
    ['config.json', new Uint8Array(await readFile(new URL('config.json', llama)))],
    ['generation_config.json', new Uint8Array(await readFile(new URL('generation_config.json', llama)))],
    ['tokenizer.json', new TextEncoder().encode('{}')],
    ['model.safetensors', weights],
    ['pytorch_model.bin', new Uint8Array(8)],
    ['consolidated.safetensors', new Uint8Array(8)],
  ]);
  return { files, lfs: new Set(['model.safetensors']) };
}

let hub: FakeHub;
let home: string;
let env: Record<string, string>;

beforeAll(async () => {
  const good = await repository();
  const pickles = new Map([...good.files].filter(([path]) => !path.endsWith('.safetensors')));
  hub = await startFakeHub(
    new Map([
      ['tiny/llama', good],
      ['tiny/pickle', { files: pickles, lfs: new Set() }],
      ['tiny/gguf', { files: new Map([['model.gguf', new Uint8Array(4)]]), lfs: new Set() }],
    ]),
  );
});

afterAll(() => hub.close());

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'headwater-hub-'));
  env = { HF_ENDPOINT: hub.endpoint, HF_HOME: home };
  for (const key of Object.keys(hub.faults)) delete hub.faults[key as keyof typeof hub.faults];
  hub.requests.length = 0;
  return () => rm(home, { recursive: true, force: true });
});

const repo = () => join(home, 'hub', 'models--tiny--llama');
const blobs = () => readdir(join(repo(), 'blobs'));
const failure = (source: string, more: Record<string, string> = {}) =>
  rejection(resolveModel(source, { env: { ...env, ...more } }));

describe('resolveModel', () => {
  it('gives local folders as they are', async () => {
    expect(await resolveModel(home, { env })).toBe(home);
  });

  it('refuses what is neither folder nor hub id', async () => {
    for (const source of ['./nowhere', 'gpt2', 'a/b/c', '../x/y', 'tiny/llama@../../etc'])
      expect(await failure(source)).toMatchObject({ code: 'MODEL_NOT_FOUND' });
    expect(hub.requests).toEqual([]);
  });

  it('downloads the needed files only, in the shared cache layout, and the linked folder opens', async () => {
    const seen: string[] = [];
    const model = await openModel('tiny/llama', {
      env: { ...env, HF_TOKEN: 'hf_secret' },
      onProgress: ({ file, doneBytes, totalBytes }) => {
        if (doneBytes === totalBytes) seen.push(file);
      },
    });
    expect(hub.authorization).toBe('Bearer hf_secret');
    expect(model.source).toBe('tiny/llama');
    expect(model.folder).toBe(join(repo(), 'snapshots', COMMIT_SHA));
    expect((await readdir(model.folder)).sort()).toEqual([
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'tokenizer.json',
    ]);
    expect(seen.at(-1)).toBe('model.safetensors');
    expect(await readFile(join(repo(), 'refs', 'main'), 'utf8')).toBe(COMMIT_SHA);
    // The runtime gets the real file, not the link.
    const location = model.weights.locate('model.norm.weight');
    expect(location).toMatchObject({ path: await realpath(join(repo(), 'blobs', blob)) });
    expect(model.eosTokenIds).toEqual([2]);
  });

  it('gives weights that the runtime can map although the cache is made of links', async () => {
    const model = await openModel('tiny/llama', { env });
    const graph = new Graph();
    const sites = baseSites(graph, model);
    const x = graph.input('x', 'float32', [1, 32]);
    const head = { inFeatures: 32, outFeatures: 160, bias: false, role: 'head' } as const;
    graph.output('y', sites.linear(x, 'lm_head', head));
    const executor = createNodeExecutor();
    const session = await executor.load(graph, model.weights);
    const fifth = Float32Array.from({ length: 32 }, (_, i) => (i === 5 ? 1 : 0));
    const y = (await session.run(new Map([['x', tensor('float32', [1, 32], fifth)]]))).get('y');
    await executor.dispose();
    const weight = await readWeight(model.weights, 'lm_head.weight');
    expect([...((y as Tensor).data as Float32Array)]).toEqual(
      Array.from({ length: 160 }, (_, row) => weight[row * 32 + 5]),
    );
  });

  it('asks nothing for a known commit and one question for a known branch', async () => {
    await resolveModel('tiny/llama', { env });
    hub.requests.length = 0;
    await resolveModel(`tiny/llama@${COMMIT_SHA}`, { env });
    expect(hub.requests).toEqual([]);
    await resolveModel('tiny/llama', { env });
    expect(hub.requests.filter((line) => line.includes('/resolve/'))).toEqual([]);
  });

  it('resumes by range when the connection breaks, also over several breaks', async () => {
    hub.faults.breakAfterBytes = { file: 'model.safetensors', bytes: 30_000, times: 2 };
    await resolveModel('tiny/llama', { env });
    const ranges = hub.requests.filter((line) => line.includes('/model.safetensors bytes='));
    const starts = ranges.map((line) => Number(/bytes=(\d+)/.exec(line)?.[1])).filter((start) => start > 0);
    expect(starts).toEqual([30_000, 60_000]);
    expect(new Uint8Array(await readFile(join(repo(), 'blobs', blob)))).toEqual(weights);
  });

  it('keeps the partial file of a broken download and finishes it next time', async () => {
    hub.faults.breakAfterBytes = { file: 'model.safetensors', bytes: 0, times: 1 };
    await mkdir(join(repo(), 'blobs'), { recursive: true });
    await writeFile(join(repo(), 'blobs', `${blob}.incomplete`), weights.subarray(0, 1000));
    expect(await failure('tiny/llama')).toMatchObject({ code: 'HUB_FAILED' });
    expect(await readFile(join(repo(), 'blobs', `${blob}.incomplete`))).toHaveLength(1000);
    expect(await readdir(join(repo(), 'snapshots', COMMIT_SHA))).not.toContain('model.safetensors');
    await resolveModel('tiny/llama', { env });
    expect(hub.requests.at(-1)).toMatch(/bytes=1000-/);
    expect((await blobs()).filter((name) => name.endsWith('.incomplete'))).toEqual([]);
  });

  it('refuses and deletes wrong bytes, whether the listing gives SHA-256 or a git id', async () => {
    for (const file of ['tokenizer.json', 'model.safetensors']) {
      hub.faults.corrupt = file;
      const error = await failure('tiny/llama');
      expect(error).toMatchObject({ code: 'HUB_FAILED' });
      expect(error.message).toContain(`${file} has checksum`);
      expect((await blobs()).filter((name) => name.includes('incomplete') || name === blob)).toEqual([]);
    }
  });

  it('refuses a partial file of other content by its checksum', async () => {
    await mkdir(join(repo(), 'blobs'), { recursive: true });
    await writeFile(join(repo(), 'blobs', `${blob}.incomplete`), new Uint8Array(1000));
    expect((await failure('tiny/llama')).message).toContain('checksum');
    await resolveModel('tiny/llama', { env });
  });

  it('says so when the server cannot resume', async () => {
    await mkdir(join(repo(), 'blobs'), { recursive: true });
    await writeFile(join(repo(), 'blobs', `${blob}.incomplete`), weights.subarray(0, 1000));
    hub.faults.ignoreRange = true;
    expect((await failure('tiny/llama')).message).toContain('does not resume');
  });

  it.each([
    [401, 'HUB_FAILED', 'HF_TOKEN'],
    [403, 'HUB_FAILED', 'accept its terms'],
    [404, 'MODEL_NOT_FOUND', '@revision'],
    [429, 'HUB_FAILED', 'busy'],
    [503, 'HUB_FAILED', 'busy'],
  ] as const)('status %d', async (status, code, advice) => {
    hub.faults.status = status;
    const error = await failure('tiny/llama');
    expect(error.code).toBe(code);
    expect(error.hint).toContain(advice);
    expect(error.message).toContain(String(status));
  });

  it('names an unknown repository, an unknown revision and a malformed token', async () => {
    expect(await failure('tiny/nobody')).toMatchObject({ code: 'MODEL_NOT_FOUND' });
    expect((await failure('tiny/llama@v9')).message).toContain('v9');
    expect((await failure('tiny/llama', { HF_TOKEN: 'nonsense' })).message).toContain('HF_TOKEN');
  });

  it('refuses repositories with pickles only, and without config.json', async () => {
    const error = await failure('tiny/pickle');
    expect(error.code).toBe('MODEL_UNSUPPORTED');
    expect(error.message).toContain('pytorch_model.bin');
    expect(await failure('tiny/gguf')).toMatchObject({ code: 'MODEL_UNSUPPORTED' });
  });

  it('works from the cache when offline, and says so when the cache is empty', async () => {
    const closed = await startFakeHub(new Map());
    await closed.close();
    const offline = { HF_ENDPOINT: closed.endpoint };
    expect(await failure('tiny/llama', offline)).toMatchObject({ code: 'HUB_FAILED' });
    expect((await failure('tiny/llama', offline)).message).toContain('cannot be reached');
    expect((await failure('tiny/llama', { HF_HUB_OFFLINE: '1' })).message).toContain('HF_HUB_OFFLINE');
    const folder = await resolveModel('tiny/llama', { env });
    expect(await resolveModel('tiny/llama', { env: { ...env, ...offline } })).toBe(folder);
    expect(await resolveModel('tiny/llama', { env: { ...env, HF_HUB_OFFLINE: '1' } })).toBe(folder);
  });

  it('stops on a signal', async () => {
    const signal = AbortSignal.abort();
    expect(await rejection(resolveModel('tiny/llama', { env, signal }))).toMatchObject({
      code: 'INTERRUPTED',
    });
  });

  it('says that the cache cannot be written', async () => {
    await writeFile(join(home, 'hub'), 'a file where the cache folder should be');
    expect(await failure('tiny/llama')).toMatchObject({ code: 'STORAGE_FAILED' });
  });
});
