/** Changes of logits before sampling that make repetition less likely, by OpenAI's and Hugging Face's names. Pure. */

export interface PenaltyOptions {
  /** Subtracted for every time that a token was generated already (OpenAI). Default 0. */
  readonly frequencyPenalty?: number;
  /** Subtracted once from every token that was generated already (OpenAI). Default 0. */
  readonly presencePenalty?: number;
  /** Positive logits of tokens in prompt and text are divided by it, negative ones multiplied (Keskar et al. 2019, arXiv:1909.05858). Default 1. */
  readonly repetitionPenalty?: number;
}

/** The logits themselves when there is nothing to change, else a copy. */
export function penalised(
  logits: Float32Array,
  { frequencyPenalty = 0, presencePenalty = 0, repetitionPenalty = 1 }: PenaltyOptions,
  prompt: Int32Array,
  generated: readonly number[],
): Float32Array {
  if (frequencyPenalty === 0 && presencePenalty === 0 && repetitionPenalty === 1) return logits;
  const result = logits.slice();
  if (repetitionPenalty !== 1)
    for (const id of new Set([...prompt, ...generated])) {
      const logit = logits[id]!;
      result[id] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    }
  for (const id of generated) result[id]! -= frequencyPenalty;
  for (const id of new Set(generated)) result[id]! -= presencePenalty;
  return result;
}
