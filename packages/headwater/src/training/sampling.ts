/** Choosing the next token from logits: greedy, or temperature, top-k and top-p in transformers' order. Pure. */

import type { Rng } from '../base/random.ts';

export interface SamplingOptions {
  /** 0 = greedy. */
  readonly temperature: number;
  /** Keep the k most likely tokens; 0 = all. */
  readonly topK: number;
  /** Keep the smallest set of most likely tokens whose probabilities reach p; 1 = all. */
  readonly topP: number;
}

/** Index of the largest value; the first of equals. */
export function argMax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

export function sampleToken(logits: Float32Array, options: SamplingOptions, random: Rng): number {
  if (options.temperature === 0) return argMax(logits);
  const candidates = keptTokens(logits, options);
  let rest = random.uniform() * candidates.reduce((sum, { weight }) => sum + weight, 0);
  for (const { id, weight } of candidates) {
    rest -= weight;
    if (rest < 0) return id;
  }
  return candidates.at(-1)!.id;
}

interface Candidate {
  readonly id: number;
  /** Proportional to the probability. */
  readonly weight: number;
}

/** The tokens that may be drawn, most likely first. */
function keptTokens(logits: Float32Array, { temperature, topK, topP }: SamplingOptions): Candidate[] {
  const largest = logits[argMax(logits)]!;
  const all = Array.from(logits, (logit, id) => ({ id, weight: Math.exp((logit - largest) / temperature) }));
  all.sort((a, b) => b.weight - a.weight || a.id - b.id);
  const byRank = topK > 0 ? all.slice(0, topK) : all;
  if (topP >= 1) return byRank;
  const wanted = topP * byRank.reduce((sum, { weight }) => sum + weight, 0);
  let reached = 0;
  const end = byRank.findIndex(({ weight }) => {
    reached += weight;
    return reached >= wanted;
  });
  return byRank.slice(0, end + 1);
}
