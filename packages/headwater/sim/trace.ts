/** What happened in a simulation, line by line: hashed always, so that two runs can be compared, kept only when asked for. */

import type { VirtualTime } from './virtual-time.ts';

export interface Trace {
  (who: string, what: string): void;
  /** Of all lines so far. */
  hash(): string;
}

export function createTrace(time: VirtualTime, print?: (line: string) => void): Trace {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  const add = (text: string) => {
    // cyrb53: fast, 53 good bits; nobody attacks a trace.
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      high = Math.imul(high ^ code, 2654435761);
      low = Math.imul(low ^ code, 1597334677);
    }
  };
  const trace = (who: string, what: string) => {
    const line = `${time.nowMs.toFixed(3)} ${who} ${what}`;
    add(line);
    print?.(line);
  };
  return Object.assign(trace, {
    hash: () => {
      const a = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
      const b = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
      return ((a >>> 0).toString(16).padStart(8, '0') + (b >>> 0).toString(16).padStart(8, '0')) as string;
    },
  });
}
