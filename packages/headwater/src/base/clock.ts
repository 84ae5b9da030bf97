/** Time as an argument. Rooms that need time take a `Clock`, rooms that wait take `Timers`; only shells make them. */

export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;
}

export const systemClock: Clock = { nowMs: () => Date.now() };

export interface Timers {
  /** Calls `fire` once after at least so many milliseconds; returns how to call it off. */
  after(ms: number, fire: () => void): () => void;
}

/** Longest that setTimeout can wait. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export const systemTimers: Timers = {
  after(ms, fire) {
    const timer = setTimeout(fire, Math.min(ms, MAX_TIMEOUT_MS));
    return () => clearTimeout(timer);
  },
};

/** Resolves after so many milliseconds, or at once when the signal is aborted. */
export function sleep(timers: Timers, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const done = () => {
      signal?.removeEventListener('abort', wake);
      resolve();
    };
    const cancel = timers.after(ms, done);
    const wake = () => {
      cancel();
      done();
    };
    signal?.addEventListener('abort', wake, { once: true });
  });
}
