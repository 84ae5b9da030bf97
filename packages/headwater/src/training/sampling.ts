/**
 * Choosing the next token from logits: greedy, or temperature, top-k and top-p in transformers' order; and what the model
 * thought of it. Pure.
 */

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
  const weights = weightsOf(logits, options.temperature);
  if (options.topK === 0 && options.topP >= 1) return drawn(weights, random);
  const kept = keptTokens(weights, options);
  let rest = random.uniform() * sumAt(weights, kept);
  for (const id of kept) {
    rest -= weights[id]!;
    if (rest < 0) return id;
  }
  return kept.at(-1)!;
}

function drawn(weights: Float64Array, random: Rng): number {
  let rest = random.uniform() * weights.reduce((a, b) => a + b, 0);
  const id = weights.findIndex((weight) => {
    rest -= weight;
    return rest < 0;
  });
  return id < 0 ? argMax(weights) : id;
}

/** Proportional to the probabilities at a temperature; the largest is 1. */
function weightsOf(logits: Float32Array, temperature: number): Float64Array {
  const largest = logits[argMax(logits)]!;
  return Float64Array.from(logits, (logit) => Math.exp((logit - largest) / temperature));
}

/** The tokens that may be drawn, most likely first; of equals the first. */
function keptTokens(weights: Float64Array, { topK, topP }: SamplingOptions): number[] {
  const byRank = topK > 0 ? largest(weights, topK) : ranked(weights, smallestOfNucleus(weights, topP));
  if (topP >= 1) return byRank;
  const total = topK > 0 ? sumAt(weights, byRank) : weights.reduce((a, b) => a + b, 0);
  let reached = 0;
  const end = byRank.findIndex((id) => {
    reached += weights[id]!;
    return reached >= topP * total;
  });
  return end < 0 ? byRank : byRank.slice(0, end + 1);
}

/** No token below this weight is in the nucleus: all of them together do not make up the rest that it leaves out. */
function smallestOfNucleus(weights: Float64Array, topP: number): number {
  if (topP >= 1) return 0;
  const total = weights.reduce((a, b) => a + b, 0);
  // The largest weight is 1, and the most likely token always stays.
  return Math.min(1, ((1 - topP) * total) / weights.length);
}

/** Ids with at least this weight, largest first. */
function ranked(weights: Float64Array, least: number): number[] {
  const ids: number[] = [];
  for (let id = 0; id < weights.length; id++) if (weights[id]! >= least) ids.push(id);
  return ids.sort((a, b) => weights[b]! - weights[a]! || a - b);
}

/** The ids of the k largest values, largest first. */
function largest(values: ArrayLike<number>, k: number): number[] {
  if (k === 0) return [];
  const sorted = Float64Array.from(values).sort();
  const least = sorted[Math.max(0, sorted.length - k)]!;
  const ids: number[] = [];
  for (let id = 0; id < values.length; id++) if (values[id]! >= least) ids.push(id);
  return ids.sort((a, b) => values[b]! - values[a]! || a - b).slice(0, k);
}

function sumAt(weights: Float64Array, ids: readonly number[]): number {
  return ids.reduce((sum, id) => sum + weights[id]!, 0);
}

/** A token and log p of the model's own distribution, before temperature and cuts; nats. */
export interface TokenLogprob {
  readonly id: number;
  readonly logprob: number;
}

/** log p of the chosen token and the `count` most likely ones. */
export function chosenLogprob(
  logits: Float32Array,
  id: number,
  count: number,
): { readonly logprob: number; readonly top: readonly TokenLogprob[] } {
  const shift = logits[argMax(logits)]!;
  let total = 0;
  for (const logit of logits) total += Math.exp(logit - shift);
  const logTotal = shift + Math.log(total);
  const at = (token: number) => logits[token]! - logTotal;
  return { logprob: at(id), top: largest(logits, count).map((token) => ({ id: token, logprob: at(token) })) };
}
