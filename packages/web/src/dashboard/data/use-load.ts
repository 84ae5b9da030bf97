/** A value from the API and how far it is: nothing yet, here, or failed. An older value stays while a newer one is fetched. */

import { useCallback, useEffect, useRef, useState } from 'react';

export interface Loaded<T> {
  readonly value: T | undefined;
  readonly error: unknown;
  reload(): void;
}

/** `key`: of what is loaded; another one begins anew. `everyMs`: again and again, while the page is looked at. */
export function useLoad<T>(
  key: string,
  load: (signal: AbortSignal) => Promise<T>,
  everyMs?: number,
): Loaded<T> {
  const [state, setState] = useState<{ key: string; value?: T; error?: unknown }>({ key });
  const [turn, setTurn] = useState(0);
  const latest = useRef(load);
  latest.current = load;

  // biome-ignore lint/correctness/useExhaustiveDependencies: each turn loads again
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    latest.current(signal).then(
      (value) => signal.aborted || setState({ key, value }),
      (error) => signal.aborted || setState((old) => ({ ...(old.key === key ? old : {}), key, error })),
    );
    return () => controller.abort();
  }, [key, turn]);

  useEffect(() => {
    if (everyMs === undefined) return undefined;
    const timer = setInterval(() => document.hidden || setTurn((n) => n + 1), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);

  const reload = useCallback(() => setTurn((n) => n + 1), []);
  const own = state.key === key;
  return { value: own ? state.value : undefined, error: own ? state.error : undefined, reload };
}
