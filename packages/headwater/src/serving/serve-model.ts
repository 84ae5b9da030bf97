/** A whole model server: the generating thread, its adapters, the listener, in the right order up and down. */

import { existsSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { availableParallelism } from 'node:os';
import { basename, resolve } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { HeadwaterError } from '../base/errors.ts';
import { hostInUrl, isLoopback } from '../base/hosts.ts';
import { storageError } from '../base/io-errors.ts';
import { openModel } from '../models/checkpoint-node.ts';
import type { HubProgress } from '../models/hub-node.ts';
import type { Device } from '../runtime/executor.ts';
import { createAdapters, type ServedName } from './adapters.ts';
import { createApi } from './openai/api.ts';
import { startTextHost } from './text-host.ts';

export interface ServeModelOptions {
  /** Folder or hub id `owner/name[@revision]`. */
  readonly model: string;
  /** What requests call it; default: the hub id, or the folder's name. */
  readonly name?: string | undefined;
  /** Name → PEFT folder. */
  readonly adapters?: Readonly<Record<string, string>> | undefined;
  /** Default 127.0.0.1. */
  readonly host?: string | undefined;
  /** 0: any free one. Default 8000. */
  readonly port?: number | undefined;
  readonly apiKey?: string | undefined;
  /** Plain HTTP to other machines. */
  readonly insecure?: boolean | undefined;
  readonly corsOrigins?: readonly string[] | undefined;
  /** Tokens of prompt and answer together; default: what the model has, at most 4096. */
  readonly contextLength?: number | undefined;
  /** Texts that grow side by side; default 8. */
  readonly batchSize?: number | undefined;
  readonly device?: Device | undefined;
  readonly threads?: number | undefined;
  /** A repacked copy of the weights in memory, for speed. Default true. */
  readonly prepack?: boolean | undefined;
  readonly onDownload?: ((progress: HubProgress) => void) | undefined;
  /** Adapters that were loaded again, failures. */
  readonly warn?: ((text: string) => void) | undefined;
}

export interface ModelServer {
  /** `http://127.0.0.1:8000`; OpenAI's clients want `/v1` behind it. */
  readonly url: string;
  readonly names: () => readonly ServedName[];
  readonly maxTokens: number;
  readonly hasChatTemplate: boolean;
  /** Resolves when the generating thread died; all requests fail from then on. */
  readonly failed: Promise<Error>;
  /** Answers under way may end within the given time, default 0. */
  close(drainMs?: number): Promise<void>;
}

/** So many answers may wait for a place in the batch. */
const MAX_ORDERS = 256;

/**
 * Serves a model and its adapters over HTTP as OpenAI's API does: `/v1/models`, `/v1/chat/completions`, `/v1/completions`.
 * Throws OPTION_INVALID, and what opening models and adapters throws.
 */
export async function serveModel(options: ServeModelOptions): Promise<ModelServer> {
  const { host: address = '127.0.0.1', port = 8000, apiKey, warn = () => undefined } = options;
  checkAddress(address, options.insecure === true);
  if (apiKey !== undefined && !/^\S{1,1000}$/.test(apiKey))
    throw new HeadwaterError('OPTION_INVALID', 'the API key must be some characters without spaces');
  const download = options.onDownload === undefined ? {} : { onProgress: options.onDownload };
  const model = await openModel(options.model, download);
  const name = options.name ?? nameOf(options.model);
  const host = await startTextHost({
    modelFolder: model.folder,
    device: options.device ?? 'cpu',
    threads: options.threads ?? availableParallelism(),
    prepack: options.prepack ?? true,
    batchSize: options.batchSize ?? 8,
    maxTokens: options.contextLength,
  });
  try {
    const adapters = createAdapters(host, name, warn);
    for (const [adapter, folder] of Object.entries(options.adapters ?? {}))
      await adapters.load(adapter, folder);
    const corsOrigins = options.corsOrigins ?? [];
    const shared = { host, adapters, modelName: name, apiKey, corsOrigins, clock: systemClock, warn };
    const app = createApi({ ...shared, maxOrders: MAX_ORDERS });
    await app.listen({ host: address, port }).catch((cause) => {
      throw storageError(cause, `listen on ${address}:${port}`, `${address}:${port}`, 'OPTION_INVALID');
    });
    const { port: own } = app.server.address() as AddressInfo;
    return {
      url: `http://${hostInUrl(address)}:${own}`,
      names: adapters.names,
      ...host.facts,
      failed: host.failed,
      async close(drainMs = 0) {
        const cut = setTimeout(() => app.server.closeAllConnections(), drainMs);
        await app.close();
        clearTimeout(cut);
        await host.close();
      },
    };
  } catch (cause) {
    await host.close();
    throw cause;
  }
}

function checkAddress(host: string, insecure: boolean): void {
  if (isLoopback(host) || insecure) return;
  throw new HeadwaterError('OPTION_INVALID', `plain HTTP on ${host} could be read by anybody in between`, {
    hint: 'Put a TLS proxy in front of 127.0.0.1, or allow it with --insecure.',
  });
}

/** A hub id is a good name, a path is not. */
function nameOf(source: string): string {
  return existsSync(source) ? basename(resolve(source)) : source;
}
