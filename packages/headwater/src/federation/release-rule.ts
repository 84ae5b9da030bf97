/** What a plan says about which params are released: plain data, and what it needs of a run. It knows no state. */

export interface ReleaseGate {
  /** Of the validation, by name. */
  readonly metric: string;
  readonly higherIsBetter: boolean;
  /** How far it may be worse than the best that was released before, the beginning included. */
  readonly maxDrop: number;
  /** Worse than it is not released, whatever was before: where higher is better below it, otherwise above it. */
  readonly bound?: number;
}

export const VOTE_WEIGHTS = ['equal', 'examples', 'reputation'] as const;

export interface ReleaseVote {
  readonly weights: (typeof VOTE_WEIGHTS)[number];
  /** Share of the weight of all who may vote that has to be for it. */
  readonly threshold: number;
}

/** Both have to hold where both are there. */
export interface ReleaseRule {
  readonly gate?: ReleaseGate | undefined;
  readonly vote?: ReleaseVote | undefined;
}

/** One sentence for each, with what to choose instead. */
export function releaseMistakes({
  release,
  validateEveryRounds,
}: {
  readonly release?: ReleaseRule | undefined;
  readonly validateEveryRounds: number;
}): string[] {
  if (release === undefined || validateEveryRounds > 0) return [];
  const key = release.gate === undefined ? 'deployment.releaseVote' : 'evaluation.gate';
  return [
    `${key} looks at validation scores, and the run has none; give data.validation or data.validationFraction`,
  ];
}
