/** Numbers and times as pages write them, beside `@headwater/base/format.ts`. A dash stands for what is not known. */

import { formatBytes, formatCount, formatDuration, significant } from '@headwater/base/format.ts';

export const UNKNOWN = '–';

type Maybe = number | null | undefined;

const known = (value: Maybe): value is number =>
  value !== null && value !== undefined && Number.isFinite(value);

export const bytes = (value: Maybe) => (known(value) ? formatBytes(Math.round(value)) : UNKNOWN);
export const count = (value: Maybe) => (known(value) ? formatCount(value) : UNKNOWN);
export const duration = (ms: Maybe) => (known(ms) ? formatDuration(ms) : UNKNOWN);
export const figure = (value: Maybe) => (known(value) ? significant(value) : UNKNOWN);

/** `exactMatch` → `Exact match`. */
export function metricName(metric: string): string {
  const words = metric.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).replaceAll('-', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Losses, perplexities and log-probabilities are numbers; everything else a task reports is a share. */
export function isShare(metric: string): boolean {
  return !/loss|perplexity|nll|logprob/i.test(metric);
}

export function score(metric: string, value: Maybe): string {
  if (!known(value)) return UNKNOWN;
  return isShare(metric) ? `${(100 * value).toFixed(1)} %` : value.toFixed(3);
}

/** `12 s ago`. */
export function ago(ms: Maybe, nowMs: number): string {
  if (!known(ms) || ms === 0) return 'never';
  const seconds = Math.max(0, Math.round((nowMs - ms) / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172_800
    ? `${Math.round(seconds / 3600)} h ago`
    : `${Math.round(seconds / 86_400)} days ago`;
}

/** In the reader's own words for dates. */
export function dateTime(ms: Maybe): string {
  if (!known(ms) || ms === 0) return UNKNOWN;
  return new Date(ms).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}
