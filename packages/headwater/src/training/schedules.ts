/**
 * Learning-rate schedules as factors of the base rate, as transformers' `get_scheduler` defines them: warm-up rises from
 * 0 over `warmupSteps`, then the rate stays, falls linearly, or falls along half a cosine.
 */

import type { ScheduleOptions } from './engine.ts';

/** Factor at optimizer step `step` (from 0) of `totalSteps`; after the last step it stays at the end value. */
export function scheduleFactor(options: ScheduleOptions, step: number, totalSteps: number): number {
  const { kind, warmupSteps, minFactor } = options;
  if (step < warmupSteps) return step / warmupSteps;
  if (kind === 'constant') return 1;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  const remaining = kind === 'linear' ? 1 - progress : 0.5 * (1 + Math.cos(Math.PI * progress));
  return minFactor + (1 - minFactor) * remaining;
}
