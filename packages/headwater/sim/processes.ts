/** Starting, killing and restarting processes. What runs in one is told by whoever adds it. */

import { beginLife, type Life } from './life.ts';
import type { Trace } from './trace.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface ProcessKind {
  readonly name: string;
  /** Begins what runs in it; must not throw. */
  start(life: Life): void;
  /** After a crash: what the machine loses with it. */
  readonly powerCut?: () => void;
}

export interface Processes {
  /** Starts it after so many milliseconds, for the first time. */
  add(kind: ProcessKind, inMs: number): void;
  /** Kills it now and starts it again later; null: never. */
  crash(name: string, downMs: number | null, powerCut: boolean): void;
  /** The process that runs now, or ran last. */
  lifeOf(name: string): Life | undefined;
}

interface Known {
  readonly kind: ProcessKind;
  life: Life | undefined;
  starts: number;
  /** Calls off the next start. */
  cancelStart: () => void;
}

export function createProcesses(time: VirtualTime, trace: Trace): Processes {
  const all = new Map<string, Known>();

  function startIn(known: Known, ms: number): void {
    known.cancelStart();
    known.cancelStart = time.after(ms, () => {
      known.starts++;
      known.life = beginLife(known.kind.name, known.starts);
      trace(known.kind.name, `starts (${known.starts})`);
      known.kind.start(known.life);
    });
  }

  return {
    add(kind, inMs) {
      const known: Known = { kind, life: undefined, starts: 0, cancelStart: () => {} };
      all.set(kind.name, known);
      startIn(known, inMs);
    },
    crash(name, downMs, powerCut) {
      const known = all.get(name);
      if (known?.life === undefined) return;
      trace(name, powerCut ? 'loses power' : 'is killed');
      known.life.die();
      if (powerCut) known.kind.powerCut?.();
      if (downMs === null) known.cancelStart();
      else startIn(known, downMs);
    },
    lifeOf: (name) => all.get(name)?.life,
  };
}
