/** The state of an owner's page: which seat, which run, what the worker does. Everything durable is the worker's. */

import { useCallback, useEffect, useRef, useState } from 'react';
import type { Seat, SignedRun, TabEvent } from './messages.ts';
import { NO_PROGRESS, type Progress, progressed } from './progress.ts';
import { startTabWorker, TabError, type TabWorker } from './tab-worker.ts';

export interface Tab {
  /** Of this browser; undefined: not read yet. */
  readonly seats: readonly Seat[] | undefined;
  readonly seat: Seat | undefined;
  readonly run: SignedRun | undefined;
  readonly progress: Progress;
  readonly isWorking: boolean;
  /** What went wrong last. */
  readonly error: unknown;
  readonly call: TabWorker['call'];
  open(link: string): Promise<void>;
  choose(seat: Seat | undefined): void;
  change(change: Partial<Seat>): Promise<void>;
  setSeat(seat: Seat): void;
  begin(): void;
  pause(): Promise<void>;
  leave(): Promise<void>;
  forget(): Promise<void>;
  retry(): void;
  /** Goes on with the run's log as it is now. */
  forgetLog(): Promise<void>;
  onPiece(listener: ((text: string) => void) | undefined): void;
}

/** Time for a client to stop by itself; then its worker is ended, which loses nothing that was finished. */
const STOP_MS = 1500;

export function useTab(): Tab {
  const [seats, setSeats] = useState<readonly Seat[] | undefined>(undefined);
  const [seat, setSeat] = useState<Seat | undefined>(undefined);
  const [run, setRun] = useState<SignedRun | undefined>(undefined);
  const [progress, setProgress] = useState(NO_PROGRESS);
  const [isWorking, setWorking] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const pieces = useRef<((text: string) => void) | undefined>(undefined);
  const onEvent = useCallback((event: TabEvent) => {
    if (event.type === 'piece') pieces.current?.(event.text);
    else setProgress((before) => progressed(before, event, Date.now()));
  }, []);
  const worker = useRef<TabWorker | undefined>(undefined);
  const current = useCallback(() => {
    worker.current ??= startTabWorker(onEvent);
    return worker.current;
  }, [onEvent]);
  const call: TabWorker['call'] = useCallback((name, input) => current().call(name, input), [current]);

  const look = useCallback(
    async (of: Seat) => {
      try {
        setError(undefined);
        setRun(await call('look', { seat: of.id }));
      } catch (cause) {
        setError(cause);
      }
    },
    [call],
  );

  const begin = useCallback(
    async (of: Seat) => {
      setError(undefined);
      setProgress(NO_PROGRESS);
      setWorking(true);
      setSeat({ ...of, state: 'working' });
      // Asked once; without it the browser may remove what is stored when space gets short.
      void navigator.storage.persist?.();
      try {
        setSeat(await call('work', { seat: of.id }));
      } catch (cause) {
        if (!isInterruption(cause)) setError(cause);
      } finally {
        setWorking(false);
      }
    },
    [call],
  );

  const choose = useCallback(
    (of: Seat | undefined) => {
      setSeat(of);
      setRun(undefined);
      setError(undefined);
      setProgress(NO_PROGRESS);
      history.replaceState(null, '', of === undefined ? placeOfPage() : `${placeOfPage()}#seat=${of.id}`);
      if (of === undefined || of.state === 'left') return;
      if (of.state === 'working') void begin(of);
      void look(of);
    },
    [begin, look],
  );

  const open = useCallback(
    async (link: string) => {
      const token = link.includes('#') ? link.slice(link.indexOf('#') + 1).trim() : link.trim();
      try {
        setError(undefined);
        const found = await call('seatOf', { url: addressOfPage(), token });
        setSeats(await call('seats', null));
        choose(found);
      } catch (cause) {
        setError(cause);
      }
    },
    [call, choose],
  );

  useEffect(() => {
    const arrive = async () => {
      const hash = location.hash.slice(1);
      // The secret leaves the address bar and the history before anything else happens.
      if (hash.startsWith('hw1_')) history.replaceState(null, '', placeOfPage());
      try {
        const known = await call('seats', null);
        setSeats(known);
        if (hash.startsWith('hw1_')) return await open(hash);
        const wanted = known.find(({ id }) => hash === `seat=${id}`);
        const going = known.filter(({ state }) => state === 'working' || state === 'paused');
        choose(wanted ?? (going.length === 1 ? going[0] : undefined));
      } catch (cause) {
        setError(cause);
      }
    };
    const onHash = () => location.hash.startsWith('#hw1_') && void arrive();
    void arrive();
    addEventListener('hashchange', onHash);
    return () => removeEventListener('hashchange', onHash);
  }, [call, choose, open]);

  const stop = useCallback(async () => {
    const ended = worker.current;
    if (ended === undefined) return;
    await Promise.race([ended.call('stop', null), new Promise((resolve) => setTimeout(resolve, STOP_MS))]);
    worker.current = undefined;
    ended.end();
    setWorking(false);
  }, []);

  return {
    ...{ seats, seat, run, progress, isWorking, error, call, open, choose, setSeat },
    begin: () => void (seat !== undefined && begin(seat)),
    async change(what) {
      if (seat === undefined) return;
      const changed = await call('change', { seat: seat.id, change: what });
      // Who accepts before the answer comes has begun to work.
      setSeat((now) => (now?.id === changed.id ? { ...changed, state: now.state } : now));
      if (what.policy !== undefined) await look(changed);
    },
    async pause() {
      await stop();
      if (seat !== undefined) setSeat(await call('change', { seat: seat.id, change: { state: 'paused' } }));
    },
    async leave() {
      await stop();
      if (seat !== undefined) setSeat(await call('leave', { seat: seat.id }));
    },
    async forget() {
      await stop();
      if (seat !== undefined) await call('forget', { seat: seat.id });
      choose(undefined);
      setSeats(await call('seats', null));
    },
    retry: () => {
      if (seat === undefined) return;
      if (seat.state === 'working') void begin(seat);
      void look(seat);
    },
    async forgetLog() {
      if (seat === undefined) return;
      await call('forgetLog', { seat: seat.id });
      await begin(seat);
    },
    onPiece: (listener) => {
      pieces.current = listener;
    },
  };
}

function isInterruption(cause: unknown): boolean {
  return cause instanceof TabError && cause.code === 'INTERRUPTED';
}

function placeOfPage(): string {
  return location.pathname + location.search;
}

/** Where the coordinator's own paths begin: a proxy may serve it below a folder. */
function addressOfPage(): string {
  return location.origin + location.pathname.replace(/\/[^/]*$/, '');
}
