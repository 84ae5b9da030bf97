/**
 * What joining would mean, before anything is joined: who signed what, whether the policy takes it, the owner's data as the
 * model would see them, and what would leave this machine. The coordinator hears of a token, and of nothing else.
 */

import { resolve } from 'node:path';
import { fileSource } from '../data/dataset-node.ts';
import { readerFor } from '../data/readers/registry.ts';
import type { Manifest } from '../federation/wire/messages.ts';
import { openModelTexts } from './base-model-node.ts';
import { nodeBasics } from './basics-node.ts';
import { blobFetcher } from './download.ts';
import { readFileStore } from './file-store-node.ts';
import { httpTransport } from './http-transport-node.ts';
import { type JoinRunOptions, placeOf } from './join-node.ts';
import { type Look, lookAt } from './look.ts';
import { checkedManifest } from './manifest.ts';
import { manifestSource } from './manifest-source.ts';
import { ownNoiseWords } from './own-noise-words.ts';
import { openOwnerRun } from './owner-run-node.ts';
import { NO_LIMITS } from './policy.ts';
import { modelCacheFolder, stateFolder } from './state-folder-node.ts';

export interface Preview extends Look {
  readonly url: string;
  /** Fingerprint of the key that signed the run. */
  readonly operator: string;
  /** Null: the coordinator gives a free name. */
  readonly owner: string | null;
  readonly manifest: Manifest;
  /** What the owner's own noise promises; null: it adds none. */
  readonly ownNoise: string | null;
  /** Of the owner's first file, as its first row has them. */
  readonly columns: readonly string[];
}

/** Joins nothing and uses nothing up. Throws like `joinRun`, but for the policy, whose reasons are part of the answer. */
export async function previewRun(options: JoinRunOptions): Promise<Preview> {
  const { url, token } = placeOf(options);
  const { caFile, insecure, signal = new AbortController().signal } = options;
  const transport = httpTransport({ url, caFile, insecure });
  try {
    const parts = nodeBasics(transport.send, options.onEvent);
    const store = readFileStore(resolve(options.state ?? stateFolder(url, token)));
    const { operator, owner, signed, askFile } = await manifestSource({ ...parts, store }, token, signal);
    const manifest = await checkedManifest(signed, operator, parts.verify);
    const run = await openOwnerRun(manifest, owner ?? 'client', options);
    const texts = await openModelTexts(manifest, {
      model: options.model,
      cacheFolder: modelCacheFolder(),
      fetchBlob: blobFetcher(parts, askFile, signal),
      signal,
    });
    const columns = await columnsOf(options);
    return {
      url,
      operator,
      owner,
      manifest,
      columns,
      ownNoise: ownNoiseWords(run.recipe, run.parts.train.length),
      ...lookAt(options.policy ?? NO_LIMITS, manifest, run, texts, owner ?? 'client'),
    };
  } finally {
    await transport.close();
  }
}

async function columnsOf({ data }: JoinRunOptions): Promise<string[]> {
  const { files, format } = data.train;
  const name = [files].flat()[0]!;
  for await (const row of readerFor(name, format).read(fileSource(name, resolve(name))))
    return 'values' in row ? Object.keys(row.values) : [];
  return [];
}
