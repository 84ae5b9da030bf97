/** Follows a run by server-sent events; a lost connection is taken up again where it broke off. */

import { useEffect, useState } from 'react';
import { get } from './api.ts';
import { isOver, type RunView, type ViewMessage, withMessage } from './run-view.ts';

export interface FollowedRun {
  readonly view: RunView | undefined;
  /** `still`: the run is over, nothing more comes. */
  readonly connection: 'opening' | 'live' | 'lost' | 'still';
  /** Why the run cannot be shown. */
  readonly error: unknown;
  retry(): void;
}

type State = Pick<FollowedRun, 'view' | 'connection' | 'error'> & { readonly run: string };

export function useRunView(run: string): FollowedRun {
  const fresh: State = { run, view: undefined, connection: 'opening', error: undefined };
  const [state, setState] = useState<State>(fresh);
  const [turn, setTurn] = useState(0);

  // biome-ignore lint/correctness/useExhaustiveDependencies: each turn opens a new connection
  useEffect(() => {
    const change = (next: (old: State) => Partial<State>) =>
      setState((old) => {
        const own =
          old.run === run ? old : { run, view: undefined, connection: 'opening' as const, error: undefined };
        return { ...own, ...next(own) };
      });
    return follow(run, change);
  }, [run, turn]);

  const own = state.run === run ? state : fresh;
  return { ...own, retry: () => setTurn((n) => n + 1) };
}

function follow(run: string, change: (next: (old: State) => Partial<State>) => void): () => void {
  const path = `/runs/${encodeURIComponent(run)}`;
  const source = new EventSource(`/admin${path}/view`);
  source.addEventListener('change', ({ data }: MessageEvent<string>) => {
    const told = JSON.parse(data) as ViewMessage;
    const over = isOver(told.summary);
    // Browsers open only a few connections to one place: none is kept for what does not change.
    if (over) source.close();
    change(({ view }) => ({
      // A connection that was opened anew tells everything again.
      view: withMessage(told.frame === null || view === undefined || view.seq === 0 ? view : undefined, told),
      connection: over ? 'still' : 'live',
      error: undefined,
    }));
  });
  source.addEventListener('restart', () => change(() => ({ view: undefined })));
  source.addEventListener('error', () => {
    change(() => ({ connection: 'lost' }));
    // Refused, not interrupted: ask why.
    if (source.readyState === EventSource.CLOSED)
      get(path).then(
        () => undefined,
        (error: unknown) => change(() => ({ error })),
      );
  });
  return () => source.close();
}
