import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rejection } from '../../test/support/outcome.ts';
import type { WireResponse } from '../federation/wire/transport.ts';
import { blobFetcher } from './download.ts';
import { cachedModel } from './model-cache-node.ts';
import { webcryptoEntropy } from './webcrypto.ts';

let cacheFolder: string;
beforeEach(() => {
  cacheFolder = mkdtempSync(join(tmpdir(), 'headwater-cache-'));
});
afterEach(() => rmSync(cacheFolder, { recursive: true, force: true }));

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const contents = new Map([
  ['config.json', new TextEncoder().encode('{}')],
  ['model.safetensors', Uint8Array.from({ length: 5000 }, (_, i) => i % 251)],
]);
const files = [...contents].map(([path, bytes]) => ({
  path,
  bytes: bytes.byteLength,
  digest: sha256(bytes),
}));
const model = { source: 'm', digest: 'd'.repeat(64), files };

/** A coordinator's files; `breakAfter` cuts each answer after so many bytes. */
function serving(breakAfter: number, asked: string[] = []) {
  const parts = {
    timers: {
      after(_: number, fire: () => void) {
        queueMicrotask(fire);
        return () => undefined;
      },
    },
    entropy: webcryptoEntropy,
    onEvent: () => undefined,
  };
  const ask = async (digest: string, headers: Readonly<Record<string, string>>): Promise<WireResponse> => {
    const { path } = files.find((file) => file.digest === digest)!;
    asked.push(`${path} ${headers.range ?? 'whole'}`);
    const from = Number(/\d+/.exec(headers.range ?? '0')![0]);
    const bytes = contents.get(path)!;
    return {
      status: from === 0 ? 200 : 206,
      headers: { 'content-range': `bytes ${from}-${bytes.byteLength - 1}/${bytes.byteLength}` },
      body: (async function* () {
        yield bytes.subarray(from, from + breakAfter);
        if (from + breakAfter < bytes.byteLength) throw new Error('reset');
      })(),
    };
  };
  return blobFetcher(parts, ask, new AbortController().signal);
}

describe('the cache of base models', () => {
  it('fetches each file over any number of broken connections, and never again', async () => {
    const asked: string[] = [];
    const folder = await cachedModel(model, { cacheFolder, fetchBlob: serving(2000, asked) });
    for (const [path, bytes] of contents)
      expect(Buffer.from(bytes).equals(readFileSync(join(folder, path)))).toBe(true);
    expect(asked).toEqual([
      'config.json whole',
      'model.safetensors whole',
      'model.safetensors bytes=2000-',
      'model.safetensors bytes=4000-',
    ]);
    expect(
      await cachedModel(model, { cacheFolder, fetchBlob: () => Promise.reject(new Error('asked')) }),
    ).toBe(folder);
  });

  it('goes on behind what a killed process left, and what was damaged there is fetched anew', async () => {
    const partial = join(cacheFolder, `${model.digest}.partial`);
    mkdirSync(partial);
    writeFileSync(
      join(partial, 'model.safetensors.part'),
      contents.get('model.safetensors')!.subarray(0, 3000),
    );
    writeFileSync(join(partial, 'config.json'), '{"half":');
    const asked: string[] = [];
    await cachedModel(model, { cacheFolder, fetchBlob: serving(1e6, asked) });
    expect(asked).toEqual(['config.json whole', 'model.safetensors bytes=3000-']);
    rmSync(join(cacheFolder, model.digest), { recursive: true });
    mkdirSync(partial);
    writeFileSync(join(partial, 'model.safetensors.part'), new Uint8Array(3000));
    const again: string[] = [];
    await cachedModel(model, { cacheFolder, fetchBlob: serving(1e6, again) });
    expect(again).toEqual(['config.json whole', 'model.safetensors bytes=3000-', 'model.safetensors whole']);
  });

  it('a folder has its name only when it is whole; two clients at once do not meet', async () => {
    const broken = () => Promise.reject(new Error('no space'));
    await expect(cachedModel(model, { cacheFolder, fetchBlob: broken })).rejects.toThrow('no space');
    expect(existsSync(join(cacheFolder, model.digest))).toBe(false);
    const folders = await Promise.all(
      [1, 2, 3].map(() => cachedModel(model, { cacheFolder, fetchBlob: serving(700) })),
    );
    expect(new Set(folders).size).toBe(1);
    expect(readdirSync(cacheFolder).filter((name) => !name.endsWith('.lock'))).toEqual([model.digest]);
  });

  it.each([
    '../evil',
    'a/../../b',
    '/etc/passwd',
    'model.py',
    'pytorch_model.bin',
    'config.json\0',
    'CON',
    '..',
    '',
  ])('a file %j is refused before anything is written', async (path) => {
    const evil = { ...model, files: [{ ...files[0]!, path }] };
    const error = await rejection(cachedModel(evil, { cacheFolder, fetchBlob: serving(1e6) }));
    expect(error.code).toBe('JOIN_REFUSED');
    expect(readdirSync(cacheFolder)).toEqual([]);
  });
});
