/** Starting, killing and restarting processes. What runs in one is told by whoever adds it. */

import { beginLife, type Life } from './life.ts';
import type { Trace } from './trace.ts';
import type { VirtualTime } from './virtual-time.ts';

/** A process manager kills what takes longer to stop. */
const LONGEST_STOP_MS = 10_000;

export interface ProcessKind {
  readonly name: string;
  /** Begins what runs in it; must not throw. */
  start(life: Life): void;
  /** After a power cut: what the machine loses with it. */
  readonly powerCut?: () => void;
  /** Ends it in good order; resolves when it has. */
  readonly stop?: () => Promise<void>;
}

export interface Processes {
  /** Starts it after so many milliseconds, for the first time. */
  add(kind: ProcessKind, inMs: number): void;
  /** Ends it now and starts it again later; null: never. */
  crash(name: string, downMs: number | null, how: 'kill' | 'power' | 'stop'): void;
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

  function end(known: Known, downMs: number | null, how: 'kill' | 'power' | 'stop'): void {
    trace(known.kind.name, how === 'power' ? 'loses power' : 'is killed');
    known.life!.die();
    if (how === 'power') known.kind.powerCut?.();
    if (downMs === null) known.cancelStart();
    else startIn(known, downMs);
  }

  return {
    add(kind, inMs) {
      const known: Known = { kind, life: undefined, starts: 0, cancelStart: () => {} };
      all.set(kind.name, known);
      startIn(known, inMs);
    },
    crash(name, downMs, how) {
      const known = all.get(name);
      const life = known?.life;
      if (known === undefined || life === undefined) return;
      const stopping = how === 'stop' && life.alive ? known.kind.stop?.() : undefined;
      if (stopping === undefined) return end(known, downMs, how);
      trace(name, 'is asked to stop');
      const stopped = () => life.alive && end(known, downMs, 'kill');
      void stopping.then(stopped, stopped);
      time.after(LONGEST_STOP_MS, stopped);
    },
    lifeOf: (name) => all.get(name)?.life,
  };
}
