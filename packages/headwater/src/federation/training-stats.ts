/** Facts of a client's training that travel beside the update. */
export interface TrainingStats {
  readonly steps: number;
  readonly numExamples: number;
  readonly numTokens: number;
  readonly numTargets: number;
  /** Mean over the optimizer steps, nats per target; null when not finite. */
  readonly meanLoss: number | null;
  readonly lastLoss: number | null;
}
