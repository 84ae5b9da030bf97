/**
 * What a run with clipping and noise says about itself, in figures and in one sentence that results, report and adapter carry.
 * Noise from a seed protects nobody, so no ε is told: the sentence says SIMULATED.
 */

import { median } from '../base/median.ts';
import { type ClientPrivacy, type ReleaseReport, simulatedStatement } from '../federation/client-privacy.ts';
import type { RunEvent, UpdateReceived } from '../federation/events.ts';
import type { RunPlan } from '../federation/plan.ts';

/** A round's release. Norms before clipping are known in simulations only. */
export interface RoundPrivacy extends ReleaseReport {
  readonly stamp: 'SIMULATED';
  /** Share of the counted updates that were longer than C. */
  readonly clippedShare: number | null;
  /** Median of ‖update‖₂ before clipping. */
  readonly medianNorm: number | null;
  /** ‖noise‖₂ / ‖sum of the clipped updates‖₂ */
  readonly noiseToSignal: number | null;
}

export function roundPrivacy(release: ReleaseReport, counted: readonly UpdateReceived[]): RoundPrivacy {
  const norms = counted.flatMap(({ unclippedNorm }) => unclippedNorm ?? []);
  const longer = norms.filter((norm) => norm > release.clipNorm).length;
  const { signalNorm, noiseNorm } = release;
  return {
    ...release,
    stamp: 'SIMULATED',
    clippedShare: norms.length === 0 ? null : longer / norms.length,
    medianNorm: norms.length === 0 ? null : median(norms),
    noiseToSignal: signalNorm > 0 ? noiseNorm / signalNorm : null,
  };
}

export interface RunPrivacy extends ClientPrivacy {
  readonly stamp: 'SIMULATED';
  readonly statement: string;
  /** Releases so far. */
  readonly rounds: number;
  /** Means over rounds. */
  readonly clippedShare: number | null;
  readonly medianNorm: number | null;
  readonly noiseToSignal: number | null;
}

export function runPrivacy(
  { privacy, cohortSize }: Pick<RunPlan, 'privacy' | 'cohortSize'>,
  events: readonly RunEvent[],
): RunPrivacy {
  const updates = events.filter((event) => event.type === 'update-received');
  const rounds = events.flatMap((event) => {
    if (event.type !== 'aggregated' || event.report.release === undefined) return [];
    const counted = updates.filter(({ round, check }) => round === event.round && check.ok);
    return [roundPrivacy(event.report.release, counted)];
  });
  const mean = (of: (round: RoundPrivacy) => number | null) => {
    const values = rounds.map(of).filter((value) => value !== null);
    return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  };
  return {
    ...privacy!,
    stamp: 'SIMULATED',
    statement: simulatedStatement(privacy!, cohortSize),
    rounds: rounds.length,
    clippedShare: mean(({ clippedShare }) => clippedShare),
    medianNorm: mean(({ medianNorm }) => medianNorm),
    noiseToSignal: mean(({ noiseToSignal }) => noiseToSignal),
  };
}
