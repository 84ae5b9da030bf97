/** How long an attempt waits in its present step: from the first question until the time is up. */

import type { Timers } from '../../base/clock.ts';

export interface StepClock {
  /** Whether the time of this step is up; another name begins another step. */
  hasExpired(step: string, ms: number): boolean;
  cancel(): void;
}

export function createStepClock(timers: Timers, onExpired: () => void): StepClock {
  let step: { readonly name: string; expired: boolean; readonly cancel: () => void } | undefined;
  return {
    hasExpired(name, ms) {
      if (step?.name === name) return step.expired;
      step?.cancel();
      const cancel = timers.after(ms, () => {
        if (step?.name !== name) return;
        step.expired = true;
        onExpired();
      });
      step = { name, expired: false, cancel };
      return false;
    },
    cancel() {
      step?.cancel();
      step = undefined;
    },
  };
}
