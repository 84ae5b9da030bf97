/**
 * What a run with client-level privacy does not write down of what its clients tell: losses, figures and lengths follow from their
 * data, and get no noise. What remains follows from the plan. Pure.
 */

import { REJECTIONS, type UpdateCheck } from '../../federation/events.ts';
import type { RunPlan } from '../../federation/plan.ts';
import type { TrainingStats } from '../../federation/training-stats.ts';

type Told = { readonly check: UpdateCheck; readonly stats: TrainingStats };

export function toldUpdate({ privacy }: Pick<RunPlan, 'privacy'>, told: Told): Told {
  if (privacy === undefined) return told;
  const { steps, numExamples } = told.stats;
  const { check } = told;
  return {
    check: check.ok ? { ok: true, l2Norm: null } : { ...check, reason: REJECTIONS[check.code] },
    stats: { steps, numExamples, numTokens: 0, numTargets: 0, meanLoss: null, lastLoss: null },
  };
}

export function toldReason({ privacy }: Pick<RunPlan, 'privacy'>, reason: string): string {
  return privacy === undefined ? reason : 'it could not train; why is withheld in runs with privacy';
}
