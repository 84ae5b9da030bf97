/**
 * Differential privacy of single examples, made by each owner for itself (DP-SGD in its local steps): what a plan says of it, the
 * mechanism that follows for an owner, and what its trainings have cost. ε is a pure function of the plan and of how often an owner
 * trained, so a replay gives the same. It knows no gradients.
 */

import { type PrivacyGuarantee, privacyGuarantee } from '../privacy/accounting/account.ts';
import { calibrateNoise } from '../privacy/accounting/calibrate.ts';
import type { PrivacySteps } from '../privacy/accounting/steps.ts';

/** What a plan says; absent: examples are not protected each for itself. */
export interface ExamplePrivacy {
  /** C, of the gradient of an example. */
  readonly clipNorm: number;
  /** z of all owners; absent: each owner's follows from `targetEpsilon`, for all rounds. */
  readonly noiseMultiplier?: number;
  /** q of all owners; absent: each owner's follows from `batchSize`. */
  readonly samplingRate?: number;
  /** Expected examples of a step. */
  readonly batchSize: number;
  /** δ of what is claimed; absent: nothing is. */
  readonly delta?: number;
  /** The most that an example may cost. */
  readonly targetEpsilon?: number;
}

/** Of one owner. */
export interface ExampleMechanism {
  /** q: each step takes each example on its own with this probability. */
  readonly samplingRate: number;
  /** z */
  readonly noiseMultiplier: number;
  /** Steps of a training. */
  readonly steps: number;
  /** Trainings that the budget allows. */
  readonly maxTrainings: number;
}

/** Neighbours have one example more or less; their number itself is told, as the plan needs it. */
const NEIGHBOURS = 'add-remove';

/** How much an owner trains: optimizer steps of a training, rounds of the run. */
interface Amounts {
  readonly steps: number;
  readonly rounds: number;
}

/** Throws PRIVACY_INVALID where no noise is enough. */
export function exampleMechanism(
  privacy: ExamplePrivacy,
  owner: { readonly numExamples: number },
  { steps, rounds }: Amounts,
): ExampleMechanism {
  const samplingRate = privacy.samplingRate ?? Math.min(1, privacy.batchSize / owner.numExamples);
  const { delta, targetEpsilon, noiseMultiplier } = privacy;
  const budget = delta === undefined || targetEpsilon === undefined ? undefined : { delta, targetEpsilon };
  if (noiseMultiplier === undefined) {
    const enough = budget === undefined ? 0 : leastNoise(samplingRate, steps * rounds, budget);
    return { samplingRate, noiseMultiplier: enough, steps, maxTrainings: rounds };
  }
  const mechanism = { samplingRate, noiseMultiplier, steps };
  const maxTrainings =
    budget === undefined ? Number.POSITIVE_INFINITY : trainingsWithin(mechanism, budget, rounds);
  return { ...mechanism, maxTrainings };
}

/** Of each example of an owner after so many trainings. */
export function exampleGuarantee(
  mechanism: Pick<ExampleMechanism, 'samplingRate' | 'noiseMultiplier' | 'steps'>,
  delta: number,
  trainings: number,
): PrivacyGuarantee {
  return remembered(`ε ${described(mechanism)} ${delta} ${trainings}`, guarantees, () =>
    privacyGuarantee({ releases: [stepsIn(mechanism, trainings)], neighbours: NEIGHBOURS, delta }),
  );
}

/** As `exampleGuarantee`, by the accountant that takes milliseconds alone: never less. */
export function renyiBound(mechanism: ExampleMechanism, delta: number, trainings: number): number {
  return remembered(
    `rdp ${described(mechanism)} ${delta} ${trainings}`,
    numbers,
    () =>
      privacyGuarantee({
        ...{ releases: [stepsIn(mechanism, trainings)], neighbours: NEIGHBOURS, delta, accountants: ['rdp'] },
      }).epsilon,
  );
}

interface Budget {
  readonly delta: number;
  readonly targetEpsilon: number;
}

function leastNoise(rate: number, steps: number, budget: Budget): number {
  return remembered(`z ${rate} ${steps} ${budget.delta} ${budget.targetEpsilon}`, numbers, () => {
    const releases = [{ sampling: { kind: 'poisson', rate }, steps } as const];
    return calibrateNoise({ ...budget, releases, neighbours: NEIGHBOURS }).noiseMultiplier;
  });
}

function trainingsWithin(
  mechanism: Omit<ExampleMechanism, 'maxTrainings'>,
  { delta, targetEpsilon }: Budget,
  limit: number,
): number {
  return remembered(`k ${described(mechanism)} ${delta} ${targetEpsilon} ${limit}`, numbers, () => {
    let [low, high] = [0, limit];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (exampleGuarantee(mechanism, delta, middle).epsilon <= targetEpsilon) low = middle;
      else high = middle - 1;
    }
    return low;
  });
}

function stepsIn(
  { samplingRate, noiseMultiplier, steps }: Omit<ExampleMechanism, 'maxTrainings'>,
  trainings: number,
): PrivacySteps {
  return { sampling: { kind: 'poisson', rate: samplingRate }, noiseMultiplier, steps: steps * trainings };
}

function described({ samplingRate, noiseMultiplier, steps }: Omit<ExampleMechanism, 'maxTrainings'>): string {
  return `${samplingRate} ${noiseMultiplier} ${steps}`;
}

/** The accountants are pure and take up to a second; owners with equally many examples ask the same. */
const numbers = new Map<string, number>();
const guarantees = new Map<string, PrivacyGuarantee>();

function remembered<T>(key: string, known: Map<string, T>, compute: () => T): T {
  const value = known.get(key) ?? compute();
  known.set(key, value);
  return value;
}
