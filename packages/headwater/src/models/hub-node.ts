/**
 * From what a user writes as a model (`./folder` or `owner/name[@revision]`) to a local folder. Hub repositories are
 * downloaded once into the shared cache; only the files a model needs, never Python pickles.
 */

import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type ListFileEntry, listFiles, modelInfo } from '@huggingface/hub';
import { HeadwaterError } from '../base/errors.ts';
import { onlyGguf, refuseQuantizedConfig } from './foreign-quantization.ts';
import {
  COMMIT,
  cacheFolder,
  type Environment,
  isWhole,
  type RepositoryCache,
  repositoryCache,
} from './hub-cache-node.ts';
import { type DownloadContext, downloadToBlob, type HubFile } from './hub-download-node.ts';
import { type HubRepository, hubError, isOffline } from './hub-errors.ts';
import { INDEX_FILE, onlyPickles, readJson, readWeightMap, SINGLE_FILE } from './shards-node.ts';

export interface HubProgress {
  readonly repository: string;
  readonly file: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface ResolveOptions {
  /** HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE; default: the process's. */
  readonly env?: Environment;
  readonly onProgress?: (progress: HubProgress) => void;
  readonly signal?: AbortSignal;
  readonly fetch?: typeof fetch;
}

const HUB_ID = /^([A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?$/;

/**
 * Absolute folder of a model. Throws MODEL_NOT_FOUND, HUB_FAILED (refused, offline, damaged), MODEL_UNSUPPORTED (only
 * pickles) or STORAGE_FAILED.
 */
export async function resolveModel(source: string, options: ResolveOptions = {}): Promise<string> {
  const found = await stat(source).catch(() => undefined);
  if (found !== undefined) return resolve(source);
  const [, name, revision = 'main'] = HUB_ID.exec(source) ?? [];
  if (name === undefined || revision.split('/').includes('..'))
    throw new HeadwaterError(
      'MODEL_NOT_FOUND',
      'no such folder, and no hub id of the form owner/name[@revision]',
      {
        where: source,
        hint: 'Give a folder with config.json and *.safetensors, or a hub id such as HuggingFaceTB/SmolLM2-135M.',
      },
    );
  return fetchSnapshot(name, revision, options);
}

async function fetchSnapshot(name: string, revision: string, options: ResolveOptions): Promise<string> {
  const env = options.env ?? process.env;
  const endpoint = (env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, '');
  const repo: HubRepository = { name, revision, endpoint };
  const cache = repositoryCache(cacheFolder(env), name);
  const cached = await cachedSnapshot(cache, revision);
  // A commit never changes: what is there is what the hub has.
  if (cached !== undefined && COMMIT.test(revision)) return cached;
  if (isSet(env.HF_HUB_OFFLINE)) {
    if (cached !== undefined) return cached;
    throw new HeadwaterError('HUB_FAILED', `HF_HUB_OFFLINE is set and ${name} is not in the cache`, {
      where: cacheFolder(env),
      hint: 'Unset HF_HUB_OFFLINE, or give a local model folder.',
    });
  }
  try {
    return await download(repo, cache, env, options);
  } catch (cause) {
    if (cached !== undefined && isOffline(cause)) return cached;
    throw hubError(cause, `download ${name}`, repo);
  }
}

function isSet(flag: string | undefined): boolean {
  return ['1', 'true', 'yes', 'on'].includes((flag ?? '').toLowerCase());
}

async function cachedSnapshot(cache: RepositoryCache, revision: string): Promise<string | undefined> {
  const commit = await cache.knownCommit(revision);
  if (commit === undefined) return undefined;
  const folder = cache.snapshotFolder(commit);
  return (await isWhole(folder)) ? folder : undefined;
}

async function download(
  repo: HubRepository,
  cache: RepositoryCache,
  env: Environment,
  options: ResolveOptions,
): Promise<string> {
  const credentials = env.HF_TOKEN ? { accessToken: env.HF_TOKEN } : {};
  const request = { hubUrl: repo.endpoint, fetch: withSignal(options), ...credentials };
  const info = await modelInfo({
    ...request,
    name: repo.name,
    revision: repo.revision,
    additionalFields: ['sha'],
  });
  const commit = checkedCommit(info.sha, repo);
  const listed: HubFile[] = [];
  for await (const entry of listFiles({ ...request, repo: modelRepo(repo), revision: commit }))
    if (entry.type === 'file') listed.push(hubFile(entry));
  const context: DownloadContext = {
    repo,
    commit,
    accessToken: credentials.accessToken,
    fetch: request.fetch,
    onBytes: (file, doneBytes) =>
      options.onProgress?.({ repository: repo.name, file: file.path, doneBytes, totalBytes: file.sizeBytes }),
  };
  await fetchFiles(smallFiles(listed, repo), cache, context);
  const config = join(cache.snapshotFolder(commit), 'config.json');
  refuseQuantizedConfig(await readJson(config), `${repo.endpoint}/${repo.name}`);
  await fetchFiles(await weightFiles(listed, cache, context), cache, context);
  if (repo.revision !== commit) await cache.remember(repo.revision, commit);
  return cache.snapshotFolder(commit);
}

function withSignal(options: ResolveOptions): typeof fetch {
  const { signal, fetch = globalThis.fetch } = options;
  return signal === undefined ? fetch : (input, init) => fetch(input, { ...init, signal });
}

function modelRepo(repo: HubRepository) {
  return { type: 'model', name: repo.name } as const;
}

function checkedCommit(sha: unknown, repo: HubRepository): string {
  if (typeof sha === 'string' && COMMIT.test(sha)) return sha;
  throw hubError(new Error(`the hub named no commit for ${repo.revision}`), 'read the repository', repo);
}

function hubFile(entry: ListFileEntry): HubFile {
  return { path: entry.path, sizeBytes: entry.size, etag: entry.lfs?.oid ?? entry.oid ?? '' };
}

const SMALL_FILES =
  /^(config\.json|generation_config\.json|tokenizer[\w.-]*|chat_template[\w.-]*|vocab\.json|merges\.txt|special_tokens_map\.json|added_tokens\.json)$/;

function smallFiles(listed: readonly HubFile[], repo: HubRepository): HubFile[] {
  if (!listed.some((file) => file.path === 'config.json')) {
    const gguf = listed.map((file) => file.path).filter((path) => path.endsWith('.gguf'));
    if (gguf.length > 0) throw onlyGguf(`${repo.endpoint}/${repo.name}`, gguf);
    throw new HeadwaterError('MODEL_UNSUPPORTED', `${repo.name} has no config.json`, {
      where: `${repo.endpoint}/${repo.name}`,
      hint: 'Give a repository that transformers can load (not GGUF, MLX or adapter-only).',
    });
  }
  return listed.filter((file) => SMALL_FILES.test(file.path));
}

/** One file, or the index and exactly the shards that it names. */
async function weightFiles(
  listed: readonly HubFile[],
  cache: RepositoryCache,
  context: DownloadContext,
): Promise<HubFile[]> {
  const { repo, commit } = context;
  const where = `${repo.endpoint}/${repo.name}`;
  const single = listed.find((file) => file.path === SINGLE_FILE);
  if (single !== undefined) return [single];
  const index = listed.find((file) => file.path === INDEX_FILE);
  if (index === undefined) {
    const gguf = listed.map((file) => file.path).filter((path) => path.endsWith('.gguf'));
    if (gguf.length > 0) throw onlyGguf(where, gguf);
    const pickles = listed.map((file) => file.path).filter((path) => /\.(bin|pt|pth|ckpt)$/.test(path));
    if (pickles.length > 0) throw onlyPickles(where, pickles);
    throw new HeadwaterError('MODEL_UNSUPPORTED', `${repo.name} has no ${SINGLE_FILE} and no ${INDEX_FILE}`, {
      where,
    });
  }
  await fetchFiles([index], cache, context);
  const weightMap = await readWeightMap(join(cache.snapshotFolder(commit), INDEX_FILE));
  return [...new Set(weightMap.values())].sort().map((path) => {
    const shard = listed.find((file) => file.path === path);
    if (shard === undefined)
      throw new HeadwaterError('MODEL_INVALID', `shard ${path} is named by ${INDEX_FILE} but is not there`, {
        where,
      });
    return shard;
  });
}

async function fetchFiles(
  files: readonly HubFile[],
  cache: RepositoryCache,
  context: DownloadContext,
): Promise<void> {
  for (const file of files) {
    if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(file.etag))
      throw hubError(new Error(`the hub gave no checksum for ${file.path}`), 'download', context.repo);
    await downloadToBlob(file, cache.blobPath(file.etag), context);
    await cache.linkFile(context.commit, file.path, file.etag);
  }
}
