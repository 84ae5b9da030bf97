/** Facts of a client's training that travel beside the update. */
export interface TrainingStats {
  readonly steps: number;
  readonly numExamples: number;
  readonly numTokens: number;
  readonly numTargets: number;
  /** Mean over the optimizer steps, of language modelling nats per target; null when not finite. */
  readonly meanLoss: number | null;
  readonly lastLoss: number | null;
  /** Means of what else the training objective has to say, by name. */
  readonly figures?: Readonly<Record<string, number>>;
}

/** Of two trainings in one round; the losses are those of the second. */
export function statsOfBoth(first: TrainingStats, second: TrainingStats): TrainingStats {
  return {
    ...second,
    steps: first.steps + second.steps,
    numExamples: first.numExamples + second.numExamples,
    numTokens: first.numTokens + second.numTokens,
    numTargets: first.numTargets + second.numTargets,
  };
}
