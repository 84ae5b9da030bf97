/**
 * How much a model gives away a planted secret (Carlini et al. 2019, "The Secret Sharer", §4): its rank by loss among secrets that
 * might as well have been planted. It knows no model.
 */

/** log₂|R| − log₂ rank: 0 where the secret is as unlikely as the median of chance allows, log₂|R| where it is the likeliest of all. */
export function exposure(loss: number, references: readonly number[]): number {
  return Math.log2(references.length) - Math.log2(rankOf(loss, references));
}

/** 1: likelier than all of them. */
export function rankOf(loss: number, references: readonly number[]): number {
  return 1 + references.filter((other) => other < loss).length;
}
