/**
 * Lets a limited number of things through at a time, in the order they came. The limit may change while things wait.
 * It keeps long baselines from taking every worker while a round is open: the round's next step would wait for them.
 */

export interface Gate {
  /** Waits for its turn, does the work, lets the next one in. */
  pass<T>(work: () => Promise<T>): Promise<T>;
  setLimit(limit: number): void;
}

export function createGate(initialLimit: number): Gate {
  const waiting: (() => void)[] = [];
  let limit = initialLimit;
  let inside = 0;

  function admit(): void {
    while (inside < limit && waiting.length > 0) {
      inside += 1;
      waiting.shift()?.();
    }
  }

  return {
    async pass(work) {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        admit();
      });
      try {
        return await work();
      } finally {
        inside -= 1;
        admit();
      }
    },
    setLimit(next) {
      limit = next;
      admit();
    },
  };
}
