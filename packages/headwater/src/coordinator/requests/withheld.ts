/**
 * What a run with client-level privacy does not write down of what its clients tell: losses, figures and lengths follow from their
 * data, and get no noise. What remains follows from the plan. Pure.
 */

import { assert } from '../../base/errors.ts';
import { REJECTIONS, type UpdateCheck } from '../../federation/events.ts';
import type { AggregationReport } from '../../federation/fixed-point.ts';
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

/** Named one by one, so that nothing that a method or a figure adds to a report later is told by mistake. */
export function toldReport(
  { privacy }: Pick<RunPlan, 'privacy'>,
  report: AggregationReport,
): AggregationReport {
  if (privacy === undefined) return report;
  const { totalWeight, numUpdates, coordinates, quantisationErrorBound, release } = report;
  assert(
    release?.noise === 'secret',
    'a round of a deployment with privacy was released without secret noise',
  );
  const { observed: _observed, ...row } = release;
  // How many were drawn is a part of the secret.
  if (privacy.poisson !== undefined)
    return {
      totalWeight: 0,
      numUpdates: 0,
      coordinates: 0,
      quantisationErrorBound,
      clamped: 0,
      release: row,
    };
  return { totalWeight, numUpdates, coordinates, quantisationErrorBound, clamped: 0, release: row };
}
