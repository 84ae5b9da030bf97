/** Ports that end the process: every operation goes through, and the chosen one, before or after its effect, is the last. */

import type { Transport, WireResponse } from '../../src/federation/wire/transport.ts';
import type { Journal } from '../../src/storage/journal.ts';
import type { Store } from '../../src/storage/store.ts';
import type { KillPoint } from './points.ts';

export type Killer = (operation: string, when: KillPoint['when'], args: readonly unknown[]) => void;

/** Undefined: nothing is killed. */
export function killerFor(point: KillPoint | undefined): Killer {
  let seen = 0;
  return (operation, when, args) => {
    if (point?.operation !== operation || point.when !== when || !point.matches(args)) return;
    seen += 1;
    if (seen === point.nth) process.kill(process.pid, 'SIGKILL');
  };
}

/** The same port with every method watched, those of its parts too: `blobs.uploads.seal`. */
export function watched<T extends object>(port: T, name: string, killer: Killer): T {
  const get = (target: T, key: string | symbol): unknown => {
    const value: unknown = Reflect.get(target, key);
    const operation = `${name}.${String(key)}`;
    if (typeof value === 'function')
      return (...args: unknown[]) => watchedCall(value.bind(target), operation, args, killer);
    return typeof value === 'object' && value !== null ? watched(value, operation, killer) : value;
  };
  return new Proxy(port, { get });
}

function watchedCall(
  call: (...args: unknown[]) => unknown,
  operation: string,
  args: readonly unknown[],
  killer: Killer,
): unknown {
  killer(operation, 'before', args);
  const given = args.map((arg) => (isStream(arg) ? watchedStream(arg, operation, args, killer) : arg));
  const result = call(...given);
  if (isStream(result)) return watchedStream(result, operation, args, killer);
  if (!(result instanceof Promise)) return result;
  return result.then((value) => {
    killer(operation, 'after', args);
    return value;
  });
}

function isStream(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

async function* watchedStream<P>(
  source: AsyncIterable<P>,
  operation: string,
  args: readonly unknown[],
  killer: Killer,
): AsyncGenerator<P> {
  for await (const piece of source) {
    yield piece;
    killer(operation, 'piece', args);
  }
}

/** Journals that a store opens are watched as `journal`, its records as `records`. */
export function watchedStore(store: Store, killer: Killer): Store {
  const { journals } = store;
  return {
    ...store,
    close: () => store.close(),
    records: watched(store.records, 'records', killer),
    journals: {
      list: () => journals.list(),
      remove: (run) => journals.remove(run),
      open: async (run, fence) => watched<Journal>(await journals.open(run, fence), 'journal', killer),
    },
  };
}

/** As `send`: before a request leaves, when its answer begins, and in the middle of the answer. */
export function watchedTransport(transport: Transport, killer: Killer): Transport {
  return async (request, signal): Promise<WireResponse> => {
    killer('send', 'before', [request]);
    const response = await transport(request, signal);
    killer('send', 'after', [request]);
    return { ...response, body: watchedStream(response.body, 'send', [request], killer) };
  };
}
