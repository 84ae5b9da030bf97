/**
 * The generating thread as the server sees it: an order in, events out. The event loop of the server stays free, and a
 * thread that dies fails what it was asked, not the process.
 */

import { Worker } from 'node:worker_threads';
import { HeadwaterError, messageOf } from '../base/errors.ts';
import { siblingModule } from '../base/sibling.ts';
import type { GeneratedText, TextPiece } from '../training/generation/text.ts';
import { type Channel, createChannel } from './channel.ts';
import {
  type FromService,
  receivedError,
  type ServiceFacts,
  type ServiceInit,
  type TextOrder,
  type ToService,
} from './messages.ts';

export type TextEvent =
  | { readonly kind: 'piece'; readonly choice: number; readonly piece: TextPiece }
  | { readonly kind: 'finished'; readonly choice: number; readonly result: GeneratedText };

export interface TextHost {
  readonly facts: ServiceFacts;
  /** undefined while it works, else why it does not. */
  failure(): Error | undefined;
  /** Resolves when the thread died by itself. */
  readonly failed: Promise<Error>;
  /**
   * The events of an order once it was found good; ending the iteration, or the signal, cancels the order.
   * Throws what the service refuses.
   */
  generate(order: TextOrder, signal: AbortSignal): Promise<AsyncIterable<TextEvent>>;
  /** Throws ADAPTER_INVALID and the like; an older adapter of this name then stays. */
  load(name: string, folder: string): Promise<void>;
  unload(name: string): Promise<void>;
  close(): Promise<void>;
}

interface Asked {
  readonly accepted: PromiseWithResolvers<void>;
  readonly events: Channel<TextEvent>;
}

/** Throws what opening the model throws. */
export async function startTextHost(init: ServiceInit): Promise<TextHost> {
  const worker = new Worker(siblingModule(import.meta.url, './worker'), { workerData: init });
  const asked = new Map<number, Asked>();
  const ready = Promise.withResolvers<ServiceFacts>();
  const died = Promise.withResolvers<Error>();
  let [nextId, failure] = [0, undefined as Error | undefined];

  function fail(cause: Error): void {
    if (failure === undefined) died.resolve(cause);
    failure ??= cause;
    ready.reject(cause);
    for (const id of [...asked.keys()]) settle(id, cause);
  }
  function settle(id: number, cause?: Error): void {
    const item = asked.get(id);
    asked.delete(id);
    if (cause === undefined) {
      item?.accepted.resolve();
      item?.events.end();
    } else {
      item?.accepted.reject(cause);
      item?.events.fail(cause);
    }
  }
  function receive(message: FromService): void {
    const item = 'id' in message ? asked.get(message.id) : undefined;
    if (message.type === 'ready') ready.resolve(message.facts);
    else if (message.type === 'failed') fail(receivedError(message.error));
    else if (message.type === 'accepted') item?.accepted.resolve();
    else if (message.type === 'piece')
      item?.events.push({ kind: 'piece', choice: message.choice, piece: message.piece });
    else if (message.type === 'finished')
      item?.events.push({ kind: 'finished', choice: message.choice, result: message.result });
    else if (message.type === 'refused') settle(message.id, receivedError(message.error));
    else settle(message.id);
  }
  worker.on('message', receive);
  worker.on('error', (cause) => fail(stopped(messageOf(cause))));
  worker.on('exit', (code) => fail(stopped(`exit code ${code}`)));

  function ask(message: (id: number) => ToService): { id: number; item: Asked } {
    if (failure !== undefined) throw failure;
    const id = nextId++;
    const item: Asked = { accepted: Promise.withResolvers(), events: createChannel() };
    // Whoever waits for the events hears of a failure there too.
    item.accepted.promise.catch(() => undefined);
    asked.set(id, item);
    worker.postMessage(message(id));
    return { id, item };
  }
  async function* follow(id: number, { events }: Asked, signal: AbortSignal): AsyncGenerator<TextEvent> {
    const cancel = () => worker.postMessage({ type: 'cancel', id } satisfies ToService);
    signal.addEventListener('abort', cancel, { once: true });
    if (signal.aborted) cancel();
    let isOver = false;
    try {
      yield* events;
      isOver = true;
    } finally {
      signal.removeEventListener('abort', cancel);
      if (!isOver) cancel();
    }
  }
  return {
    facts: await ready.promise,
    failure: () => failure,
    failed: died.promise,
    async generate(order, signal) {
      const { id, item } = ask((id) => ({ type: 'generate', id, order }));
      await item.accepted.promise;
      return follow(id, item, signal);
    },
    load: (name, folder) => ask((id) => ({ type: 'load', id, name, folder })).item.accepted.promise,
    unload: (name) => ask((id) => ({ type: 'unload', id, name })).item.accepted.promise,
    async close() {
      failure ??= new HeadwaterError('INTERRUPTED', 'the server is closing');
      await worker.terminate();
    },
  };
}

function stopped(reason: string): HeadwaterError {
  return new HeadwaterError('RUNTIME_FAILED', `the generating thread stopped: ${reason}`, {
    hint: 'Start the server again; with --context-length or --batch-size lower if memory ran out.',
  });
}
