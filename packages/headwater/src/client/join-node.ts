/**
 * The library's and the command line's way into a run: an invitation and the owner's files in, the end of the run out. Puts
 * the parts together; what a client does is in `core.ts`.
 */

import { access, constants } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { storageError } from '../base/io-errors.ts';
import { parseInvitation } from '../federation/wire/join-token.ts';
import type { Manifest } from '../federation/wire/messages.ts';
import { type OwnerData, prepareOwner } from '../jobs/owner-data.ts';
import { asRecipeSays, codecOf, type PreparedRun } from '../jobs/prepare.ts';
import type { HubProgress } from '../models/hub-node.ts';
import { describeEnvironment } from '../runs/environment.ts';
import { openBaseModel } from './base-model-node.ts';
import { nodeBasics } from './basics-node.ts';
import { type ClientOutcome, runClient } from './core.ts';
import { openFileStore } from './file-store-node.ts';
import { httpTransport } from './http-transport-node.ts';
import { forgetSeen } from './log-memory.ts';
import { openOwnerRun } from './owner-run-node.ts';
import { createPolicy, NO_LIMITS, type PolicyRules } from './policy.ts';
import type { ClientEvent, FetchBlob } from './ports.ts';
import { modelCacheFolder, stateFolder } from './state-folder-node.ts';
import { type NodeTrainer, openTrainer } from './trainer-node.ts';

export interface JoinRunOptions {
  /** Address of the coordinator; may carry the token behind `#`. */
  readonly url: string;
  /** Needed the first time. */
  readonly token?: string;
  readonly data: OwnerData;
  /** The name that the invitation must be for. Default: whatever name it is for. */
  readonly owner?: string;
  /** Default: everything is allowed. */
  readonly policy?: PolicyRules;
  /** The owner's copy of the base model: folder or hub id. Default: the coordinator's. */
  readonly model?: string;
  /** At most so many threads in a session. Default: what the run says; fewer may change the last bits. */
  readonly threads?: number;
  readonly maxMemoryBytes?: number;
  /** Where this client keeps its key and its unfinished work. Default: a folder under `~/.headwater`, by address and token. */
  readonly state?: string;
  /** Where the result of the run is written: a PEFT folder (a model folder, where whole models are trained). Default: nowhere. */
  readonly out?: string;
  /** PEM file of the authority that signed the coordinator's certificate. */
  readonly caFile?: string;
  /** Plain HTTP to another machine. */
  readonly insecure?: boolean;
  /** Take the run’s log as it is now, whatever was seen of it before. */
  readonly forgetLog?: boolean;
  /** Modules with the run's own methods, schemas …, which the owner trusts. */
  readonly plugins?: readonly string[];
  readonly onEvent?: (event: JoinEvent) => void;
  /** Aborting stops with INTERRUPTED; the same call continues. */
  readonly signal?: AbortSignal;
}

export type JoinEvent =
  | ClientEvent
  | { readonly type: 'preparing'; readonly what: 'model' | 'data'; readonly detail: string }
  | { readonly type: 'prepared'; readonly prepared: PreparedRun }
  | { readonly type: 'hub'; readonly progress: HubProgress };

export type JoinedRun = ClientOutcome;

/**
 * Takes part in a run until it is over. Throws HeadwaterError: OPTION_INVALID, DATA_*, MODEL_*, POLICY_*, JOIN_REFUSED,
 * CONNECTION_FAILED (something that is no coordinator answers), RUN_LOCKED, STORAGE_FAILED, INTERRUPTED. An unreachable
 * coordinator is waited for.
 */
export async function joinRun(options: JoinRunOptions): Promise<JoinedRun> {
  const { url, token } = placeOf(options);
  const { caFile, insecure, out, owner, policy, signal = new AbortController().signal } = options;
  await checkFiles(options.data);
  const transport = httpTransport({ url, caFile, insecure });
  const store = await openFileStore(resolve(options.state ?? stateFolder(url, token)));
  if (options.forgetLog === true) await forgetSeen(store);
  let trainer: NodeTrainer | undefined;
  try {
    const parts = {
      ...nodeBasics(transport.send, options.onEvent),
      store,
      policy: createPolicy(policy ?? NO_LIMITS),
      openTrainer: async (manifest: Manifest, owner: string, fetchBlob: FetchBlob) => {
        trainer = await trainerOf(options, { manifest, owner, fetchBlob, folder: store.folder, signal });
        return trainer;
      },
    };
    const onResult = async (params: Uint8Array) => trainer?.exportParams(params, resolve(out ?? '.'));
    const whole = out === undefined ? parts : { ...parts, onResult };
    return await runClient(whole, { token, owner, software: software(), signal });
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

/** A slip of the fingers is told before a token is used up. Throws DATA_NOT_FOUND. */
async function checkFiles({ train, validation, test }: OwnerData): Promise<void> {
  for (const file of [train, validation, test].flatMap((source) => source?.files ?? []))
    await access(file, constants.R_OK).catch((cause) => {
      throw storageError(cause, 'read the data file', file, 'DATA_NOT_FOUND');
    });
}

function software(): string {
  return `headwater/${describeEnvironment().headwater} (node ${process.versions.node})`;
}

interface Opening {
  readonly manifest: Manifest;
  readonly owner: string;
  readonly fetchBlob: FetchBlob;
  readonly folder: string;
  readonly signal: AbortSignal;
}

async function trainerOf(
  options: JoinRunOptions,
  { manifest, owner, fetchBlob, folder, signal }: Opening,
): Promise<NodeTrainer> {
  const { data, maxMemoryBytes, onEvent = () => undefined } = options;
  onEvent({ type: 'preparing', what: 'data', detail: [data.train.files].flat().join(', ') });
  const { recipe, registries, parts } = await openOwnerRun(manifest, owner, options);
  onEvent({ type: 'preparing', what: 'model', detail: options.model ?? manifest.model.source });
  const stored = await openBaseModel(manifest, {
    model: options.model,
    cacheFolder: modelCacheFolder(),
    fetchBlob,
    signal,
    onHub: (progress) => onEvent({ type: 'hub', progress }),
  });
  const model = await asRecipeSays(stored, recipe, onEvent);
  const prepared = await prepareOwner(
    { recipe, registries, model, codec: await codecOf(model) },
    owner,
    parts,
  );
  onEvent({ type: 'prepared', prepared });
  const steps = recipe.federation.localSteps;
  return openTrainer({
    prepared,
    registries,
    owner,
    workFolder: join(folder, 'work'),
    maxMemoryBytes,
    onStep: ({ step, loss }) => onEvent({ type: 'step', step: ((step - 1) % steps) + 1, steps, loss }),
  });
}
