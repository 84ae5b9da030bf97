/** Time as an argument. Rooms that need time take a `Clock`; only shells make one. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;
}

export const systemClock: Clock = { nowMs: () => Date.now() };
