/** Metrics for people: their names and how their values are written. */

/** `exactMatch` → `exact match`. */
export function metricLabel(metric: string): string {
  return metric.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).replaceAll('-', ' ');
}

/** Losses, perplexities, log-probabilities and margins are numbers; everything else a task reports is a share. */
export function isShare(metric: string): boolean {
  return !/loss|perplexity|nll|logprob|margin/i.test(metric);
}

/** ` (44.0 – 50.2)`, in the unit of the score before it; empty where there is no interval. */
export function formatInterval(metric: string, interval: readonly [number, number] | undefined): string {
  if (interval === undefined) return '';
  const text = (value: number) => (isShare(metric) ? (100 * value).toFixed(1) : value.toFixed(3));
  return ` (${interval.map(text).join(' – ')})`;
}

/** `+0.120`, `−1.3 points`: how far a score is from another one. */
export function formatChange(metric: string, value: number, from: number): string {
  const change = value - from;
  const sign = change < 0 ? '−' : '+';
  const size = Math.abs(change);
  return sign + (isShare(metric) ? `${(100 * size).toFixed(1)} points` : size.toFixed(3));
}

export function formatScore(metric: string, value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  return isShare(metric) ? `${(100 * value).toFixed(1)} %` : value.toFixed(3);
}
