/** Metrics for people: their names and how their values are written. */

/** `exactMatch` → `exact match`. */
export function metricLabel(metric: string): string {
  return metric.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).replaceAll('-', ' ');
}

/** Losses and perplexities are numbers; everything else a task reports is a share. */
export function isShare(metric: string): boolean {
  return !/loss|perplexity|nll/i.test(metric);
}

export function formatScore(metric: string, value: number | null | undefined): string {
  if (value === null || value === undefined) return '–';
  return isShare(metric) ? `${(100 * value).toFixed(1)} %` : value.toFixed(3);
}
