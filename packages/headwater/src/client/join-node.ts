/**
 * The library's and the command line's way into a run: an invitation and the owner's files in, the end of the run out. Puts
 * the parts together; what a client does is in `core.ts`.
 */

import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { systemClock, systemTimers } from '../base/clock.ts';
import { HeadwaterError } from '../base/errors.ts';
import { parseInvitation } from '../federation/wire/join-token.ts';
import type { Manifest } from '../federation/wire/messages.ts';
import { loadOwnerParts, type OwnerData, prepareOwner } from '../jobs/owner-data.ts';
import { codecOf } from '../jobs/prepare.ts';
import { registriesWith } from '../jobs/records.ts';
import type { HubProgress } from '../models/hub-node.ts';
import { describeEnvironment } from '../runs/environment.ts';
import { openBaseModel } from './base-model-node.ts';
import { compressChunk } from './compress-node.ts';
import { type ClientOutcome, runClient } from './core.ts';
import { type OpenClientStore, openFileStore } from './file-store-node.ts';
import { nodeHasher } from './hasher-node.ts';
import { httpTransport } from './http-transport-node.ts';
import { recipeOf } from './manifest-recipe-node.ts';
import { createPolicy, NO_LIMITS, type PolicyRules } from './policy.ts';
import type { ClientEvent, ClientParts, FetchBlob, Trainer } from './ports.ts';
import { modelCacheFolder, stateFolder } from './state-folder-node.ts';
import { openTrainer } from './trainer-node.ts';
import { webcryptoEntropy, webcryptoSigner, webcryptoVerify } from './webcrypto.ts';

export interface JoinRunOptions {
  /** Address of the coordinator; may carry the token behind `#`. */
  readonly url: string;
  /** Needed the first time. */
  readonly token?: string;
  readonly data: OwnerData;
  /** Default: everything is allowed. */
  readonly policy?: PolicyRules;
  /** The owner's copy of the base model: folder or hub id. Default: the coordinator's. */
  readonly model?: string;
  /** At most so many threads in a session. Default: what the run says; fewer may change the last bits. */
  readonly threads?: number;
  readonly maxMemoryBytes?: number;
  /** Where this client keeps its key and its unfinished work. Default: a folder under `~/.headwater`, by address and token. */
  readonly state?: string;
  /** PEM file of the authority that signed the coordinator's certificate. */
  readonly caFile?: string;
  /** Plain HTTP to another machine. */
  readonly insecure?: boolean;
  /** Modules with the run's own methods, schemas …, which the owner trusts. */
  readonly plugins?: readonly string[];
  readonly onEvent?: (event: JoinEvent) => void;
  /** Aborting stops with INTERRUPTED; the same call continues. */
  readonly signal?: AbortSignal;
}

export type JoinEvent =
  | ClientEvent
  | { readonly type: 'preparing'; readonly what: 'model' | 'data' | 'worker'; readonly detail: string }
  | { readonly type: 'hub'; readonly progress: HubProgress };

/**
 * Takes part in a run until it is over. Throws HeadwaterError: OPTION_INVALID, DATA_*, MODEL_*, POLICY_*, JOIN_REFUSED,
 * CONNECTION_FAILED (something that is no coordinator answers), RUN_LOCKED, STORAGE_FAILED, INTERRUPTED. An unreachable
 * coordinator is waited for.
 */
export async function joinRun(options: JoinRunOptions): Promise<ClientOutcome> {
  const { url, token } = placeOf(options);
  const { caFile, insecure, signal = new AbortController().signal } = options;
  const transport = httpTransport({ url, caFile, insecure });
  const store = await openFileStore(resolve(options.state ?? stateFolder(url, token)));
  try {
    const parts = partsOf(options, transport.send, store, signal);
    return await runClient(parts, { token, software: software(), signal });
  } finally {
    store.close();
    await transport.close();
  }
}

/** Throws OPTION_INVALID. */
export function placeOf({ url, token }: Pick<JoinRunOptions, 'url' | 'token'>): {
  readonly url: string;
  readonly token: string | undefined;
} {
  const invitation = parseInvitation(url);
  return { url: invitation.url, token: token ?? invitation.token };
}

function software(): string {
  return `headwater/${describeEnvironment().headwater} node/${process.versions.node}`;
}

function partsOf(
  options: JoinRunOptions,
  transport: ClientParts['transport'],
  store: OpenClientStore,
  signal: AbortSignal,
): ClientParts {
  const onEvent = options.onEvent ?? (() => undefined);
  return {
    transport,
    store,
    clock: systemClock,
    timers: systemTimers,
    entropy: webcryptoEntropy,
    signer: webcryptoSigner,
    verify: webcryptoVerify,
    hasher: nodeHasher,
    compress: compressChunk,
    policy: createPolicy(options.policy ?? NO_LIMITS),
    openTrainer: (manifest, owner, fetchBlob) =>
      trainerOf(options, { manifest, owner, fetchBlob, folder: store.folder, signal, onEvent }),
    onEvent,
  };
}

interface Opening {
  readonly manifest: Manifest;
  readonly owner: string;
  readonly fetchBlob: FetchBlob;
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly onEvent: (event: JoinEvent) => void;
}

async function trainerOf(
  options: JoinRunOptions,
  { manifest, owner, fetchBlob, folder, signal, onEvent }: Opening,
): Promise<Trainer> {
  checkThreads(options.threads);
  const plugins = (options.plugins ?? []).map((file) => resolve(file));
  const registries = await registriesWith(plugins);
  const recipe = recipeOf(manifest, { registries, plugins, threads: options.threads });
  onEvent({ type: 'preparing', what: 'data', detail: [options.data.train.files].flat().join(', ') });
  const parts = await loadOwnerParts(recipe, registries, owner, options.data);
  onEvent({ type: 'preparing', what: 'model', detail: options.model ?? manifest.model.source });
  const model = await openBaseModel(manifest, {
    model: options.model,
    cacheFolder: modelCacheFolder(),
    fetchBlob,
    signal,
    onHub: (progress) => onEvent({ type: 'hub', progress }),
  });
  const context = { recipe, registries, model, codec: await codecOf(model) };
  const prepared = await prepareOwner(context, owner, parts);
  return openTrainer({
    prepared,
    registries,
    owner,
    workFolder: join(folder, 'work'),
    maxMemoryBytes: options.maxMemoryBytes,
    onStep: ({ step, loss }) => onEvent({ type: 'step', step, steps: recipe.federation.localSteps, loss }),
  });
}

function checkThreads(threads: number | undefined): void {
  if (threads === undefined || (Number.isSafeInteger(threads) && threads > 0)) return;
  throw new HeadwaterError('OPTION_INVALID', `threads: expected a whole number > 0, got ${threads}`, {
    hint: `This machine has ${availableParallelism()} cores.`,
  });
}
