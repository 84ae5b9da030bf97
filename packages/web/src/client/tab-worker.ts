/** The page's side of its worker: questions with answers, events, and ending it, which is always safe. */

import type { Commands, FromWorker, PlainError, TabEvent, ToWorker } from './messages.ts';

export class TabError extends Error {
  override readonly name = 'TabError';
  readonly code: string | null;
  readonly hint: string | undefined;

  constructor({ code, message, hint, where }: PlainError) {
    super(where === null ? message : `${where}: ${message}`);
    this.code = code;
    this.hint = hint ?? undefined;
  }
}

export interface TabWorker {
  call<Name extends keyof Commands>(
    name: Name,
    input: Parameters<Commands[Name]>[0],
  ): ReturnType<Commands[Name]>;
  /** What it was asked for fails with INTERRUPTED. */
  end(): void;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export function startTabWorker(onEvent: (event: TabEvent) => void): TabWorker {
  const worker = new Worker(new URL('./worker/main.ts', import.meta.url), { type: 'module' });
  const waiting = new Map<number, Waiting>();
  let calls = 0;
  const failAll = (error: PlainError) => {
    for (const { reject } of waiting.values()) reject(new TabError(error));
    waiting.clear();
  };
  worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
    if ('event' in data) return onEvent(data.event);
    const asked = waiting.get(data.id);
    waiting.delete(data.id);
    if ('error' in data) asked?.reject(new TabError(data.error));
    else asked?.resolve(data.value);
  };
  worker.onerror = ({ message }) =>
    failAll({
      code: 'RUNTIME_FAILED',
      message: `the page’s worker failed: ${message || 'it does not load'}`,
      hint: 'Reload the page: what was finished is kept.',
      where: null,
    });
  return {
    call: (name, input) =>
      new Promise((resolve, reject) => {
        const id = ++calls;
        waiting.set(id, { resolve: resolve as Waiting['resolve'], reject });
        worker.postMessage({ id, name, input } satisfies ToWorker);
      }) as never,
    end() {
      worker.terminate();
      failAll({ code: 'INTERRUPTED', message: 'it was stopped', hint: null, where: null });
    },
  };
}
