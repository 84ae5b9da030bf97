/**
 * A whole coordinator process: storage, core, both listeners, in the right order up and down. What the command line adds
 * (words, signals) is not here.
 */

import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { systemClock, systemTimers } from '../base/clock.ts';
import { ed25519FromSeed, ed25519Verify } from '../base/ed25519-node.ts';
import { HeadwaterError } from '../base/errors.ts';
import { hostInUrl, isLoopback } from '../base/hosts.ts';
import { storageError } from '../base/io-errors.ts';
import { checkListening, readPem } from '../base/listening-node.ts';
import { makePrivateFolder } from '../base/make-folder-node.ts';
import type { HubProgress } from '../models/hub-node.ts';
import type { RecipeInput } from '../recipe/schema.ts';
import { openAdminToken, writeAdminAddress } from './admin-token.ts';
import { createCoordinator } from './core.ts';
import { createAdminApi } from './http/admin-api.ts';
import { createAskHelper } from './http/ask-helper.ts';
import { createClientApi } from './http/client-api.ts';
import { createEventHub } from './http/event-stream.ts';
import { createForward, nodeName } from './http/forward.ts';
import { createMetrics } from './metrics.ts';
import { openStorage, type Storage } from './open-storage.ts';
import type { Coordinator, CoordinatorFact, CoordinatorLimits, Log, Operator } from './ports.ts';
import { refusalAnswer, unavailable } from './requests/answers.ts';
import { keepTidy } from './upkeep/keep-tidy.ts';
import { openRecipeWorks } from './works/recipe-works.ts';

export interface ServeOptions {
  /** Folder (SQLite and files), or `postgres://…`. */
  readonly store: string;
  /** Folder, or `s3://…`. Default: in the store's folder. */
  readonly blobs?: string | undefined;
  /** Results, admin token and address. Default: the store's folder. */
  readonly folder?: string | undefined;
  readonly durability?: 'full' | 'none';
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly adminHost: string;
  readonly adminPort: number;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  /** Plain HTTP to other machines. */
  readonly insecure: boolean;
  /** Where other processes over the same store, and clients, reach this one. Default: host and port. */
  readonly advertise?: string | undefined;
  /** PEM file of the authority that signed the certificates of the other processes. */
  readonly peerCa?: string | undefined;
  readonly corsOrigins: readonly string[];
  readonly limits?: Partial<CoordinatorLimits>;
  /** Runs that ended are forgotten after so many days. Default: never. */
  readonly keepDays?: number | undefined;
  /** Of the built web pages. Default: those that come with Headwater. */
  readonly pagesFolder?: string | undefined;
  readonly log: Log;
  readonly onFact?: (fact: CoordinatorFact) => void;
  readonly onDownload?: (progress: HubProgress) => void;
}

export interface Server {
  /** Where clients reach it, without a slash at the end. */
  readonly url: string;
  readonly adminUrl: string;
  readonly adminToken: string;
  readonly operator: Operator;
  /** With one folder a run. */
  readonly resultsFolder: string;
  close(drainMs: number): Promise<void>;
}

/** Throws OPTION_INVALID, RUN_LOCKED, CONNECTION_FAILED, STORAGE_FAILED, RUN_CORRUPT. */
export async function startServer(options: ServeOptions): Promise<Server> {
  checkOptions(options);
  const folder = options.folder ?? (isFolder(options.store) ? options.store : 'coordinator');
  // The store holds the operator's key.
  await makePrivateFolder(folder);
  const storage = await openStorage(options);
  try {
    return await listen(options, folder, storage);
  } catch (cause) {
    await storage.close();
    throw cause;
  }
}

async function listen(options: ServeOptions, folder: string, storage: Storage): Promise<Server> {
  const hub = createEventHub(systemTimers);
  const metrics = createMetrics();
  const facts = { hub, metrics, onFact: options.onFact };
  const resultsFolder = join(folder, 'runs');
  let coordinator: Coordinator | undefined;
  const handle: Coordinator['handle'] = async (request) =>
    coordinator === undefined
      ? refusalAnswer(unavailable('this coordinator is starting'))
      : coordinator.handle(request);
  const clientApi = createClientApi(handle, {
    ...options,
    clock: systemClock,
    ready: async () => coordinator !== undefined && (await isReachable(storage)),
  });
  const opened: FastifyInstance[] = [];
  try {
    const port = await listenOn(clientApi, options.host, options.port);
    opened.push(clientApi);
    const url = options.advertise?.replace(/\/+$/, '') ?? urlOf(options, options.host, port);
    coordinator = await openCoordinator(options, storage, { facts, resultsFolder, url });
    const adminToken = await openAdminToken(folder);
    const { operator } = coordinator;
    const adminApi = createAdminApi({
      token: adminToken,
      operator,
      metrics,
      hub,
      clock: systemClock,
      log: options.log,
      resultsFolder,
      clientUrl: url,
      pagesFolder: options.pagesFolder,
    });
    const adminPort = await listenOn(adminApi, options.adminHost, options.adminPort);
    opened.push(adminApi);
    const adminUrl = `http://${hostInUrl(options.adminHost)}:${adminPort}`;
    await writeAdminAddress(folder, adminUrl);
    const stopTidying = keepTidy({ ...options, ...storage, clock: systemClock, timers: systemTimers });
    const close = async (drainMs: number) => {
      await stopTidying();
      await shutDown(coordinator!, opened, storage, drainMs);
    };
    return { url, adminUrl, adminToken, operator, resultsFolder, close };
  } catch (cause) {
    await Promise.all(opened.map((app) => app.close()));
    await coordinator?.close(0);
    throw cause;
  }
}

interface CoreParts {
  readonly facts: {
    readonly hub: { observe(fact: CoordinatorFact): void };
    readonly metrics: { observe(fact: CoordinatorFact): void };
    readonly onFact: ServeOptions['onFact'];
  };
  readonly resultsFolder: string;
  readonly url: string;
}

function openCoordinator(
  options: ServeOptions,
  { store, blobs, exclusive, blobPlace }: Storage,
  { facts, resultsFolder, url }: CoreParts,
): Promise<Coordinator> {
  const { log, onDownload, limits } = options;
  const node = exclusive ? 'this folder' : nodeName(url, randomBytes(6).toString('hex'));
  return createCoordinator({
    store,
    blobs,
    clock: systemClock,
    timers: systemTimers,
    entropy: (bytes) => new Uint8Array(randomBytes(bytes)),
    openWorks: (run, recipe) =>
      openRecipeWorks(run, recipe as RecipeInput, {
        blobs: blobPlace,
        resultsFolder,
        clock: systemClock,
        ...(onDownload === undefined ? {} : { onDownload }),
        ...(exclusive ? {} : { shared: { store, blobs, timers: systemTimers, log, node } }),
      }),
    log,
    node,
    exclusive,
    signatures: { verify: ed25519Verify, signer: ed25519FromSeed },
    askHelper: createAskHelper({ ca: readPeerCa(options), insecure: options.insecure }),
    ...(exclusive ? {} : { forward: createForward(readPeerCa(options)) }),
    observe(fact) {
      facts.metrics.observe(fact);
      facts.hub.observe(fact);
      facts.onFact?.(fact);
    },
    ...(limits === undefined ? {} : { limits }),
  });
}

/** New requests are refused, those under way are answered, then everything closes. */
async function shutDown(
  coordinator: Coordinator,
  apps: readonly FastifyInstance[],
  storage: Storage,
  drainMs: number,
): Promise<void> {
  await coordinator.close(drainMs);
  await Promise.all(apps.map((app) => app.close()));
  await storage.close();
}

async function listenOn(app: FastifyInstance, host: string, port: number): Promise<number> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    throw storageError(cause, `listen on ${host}:${port}`, `${host}:${port}`, 'OPTION_INVALID');
  }
  return (app.server.address() as AddressInfo).port;
}

async function isReachable({ store }: Storage): Promise<boolean> {
  try {
    await store.records.get('operator', 'key');
    return true;
  } catch {
    // Whatever it is: not ready.
    return false;
  }
}

function readPeerCa({ peerCa }: ServeOptions): string | undefined {
  return peerCa === undefined ? undefined : readPem(peerCa);
}

function checkOptions(options: ServeOptions): void {
  checkListening(options);
  const { adminHost, insecure } = options;
  if (!isLoopback(adminHost) && !insecure)
    throw new HeadwaterError(
      'OPTION_INVALID',
      `the admin API is plain HTTP and must not listen on ${adminHost}`,
      {
        hint: 'Reach it through a tunnel to 127.0.0.1, or allow it with --insecure.',
      },
    );
}

function urlOf({ tlsCert }: ServeOptions, host: string, port: number): string {
  return `${tlsCert === undefined ? 'http' : 'https'}://${hostInUrl(host)}:${port}`;
}

function isFolder(store: string): boolean {
  return !/^[a-z][a-z0-9+.-]*:\/\//i.test(store);
}
