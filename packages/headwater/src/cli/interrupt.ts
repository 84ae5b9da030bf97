/** Ctrl-C and SIGTERM as an AbortSignal: the first one asks to stop cleanly, the second one ends the process. */

export interface Interrupt {
  readonly signal: AbortSignal;
  /** Gives the signals back to their default. */
  release(): void;
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

export function interruptSignal(): Interrupt {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(130);
    process.stderr.write('\nstopping; press Ctrl-C again to leave at once\n');
    controller.abort();
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  return {
    signal: controller.signal,
    release: () => {
      for (const name of SIGNALS) process.off(name, onSignal);
    },
  };
}
