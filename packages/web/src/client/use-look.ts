/** The owner's data as rows and as examples, read anew whenever files, columns or limits change. */

import { useEffect, useState } from 'react';
import type { Rows, TabLook } from './messages.ts';
import type { Tab } from './use-tab.ts';

export interface Look {
  readonly rows: Rows | undefined;
  readonly value: TabLook | undefined;
  readonly busy: boolean;
  readonly error: unknown;
  /** Reads once more. */
  again(): void;
}

const NOTHING: Omit<Look, 'again'> = { rows: undefined, value: undefined, busy: false, error: undefined };

export function useLook({ seat, run, call }: Tab): Look {
  const [look, setLook] = useState(NOTHING);
  const [turn, setTurn] = useState(0);
  const id = seat?.id;
  const isWanted =
    run !== undefined && seat?.state === 'looking' && seat.files.some(({ use }) => use === 'train');
  const key = isWanted ? JSON.stringify([id, seat.files, seat.mapping, seat.policy]) : undefined;
  // biome-ignore lint/correctness/useExhaustiveDependencies: each turn reads once more
  useEffect(() => {
    if (key === undefined || id === undefined) {
      setLook(NOTHING);
      return;
    }
    let isCurrent = true;
    const show = (next: Partial<typeof NOTHING>) =>
      isCurrent && setLook((before) => ({ ...before, ...next }));
    const read = async () => {
      show({ busy: true, error: undefined });
      try {
        show({ rows: await call('rows', { seat: id }) });
        show({ value: await call('preview', { seat: id }), busy: false });
      } catch (error) {
        show({ error, value: undefined, busy: false });
      }
    };
    void read();
    return () => {
      isCurrent = false;
    };
  }, [key, id, call, turn]);
  return { ...look, again: () => setTurn((n) => n + 1) };
}
