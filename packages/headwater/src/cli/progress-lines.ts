/** A run's progress as lines that stay: what happened, in words. Also the whole output where there is no terminal. */

import { formatBytes } from '../base/format.ts';
import type { Scores } from '../federation/events.ts';
import type { Progress } from '../jobs/progress.ts';
import { formatScore, metricLabel } from '../report/metrics.ts';

/** Remembers the losses of the open round; undefined for events that are only shown live. */
export function progressLines(): (progress: Progress) => string | undefined {
  let losses: (number | null)[] = [];
  return (progress) => {
    if (progress.type === 'work-done' && progress.event.type === 'update-received')
      losses.push(progress.event.stats.meanLoss);
    if (progress.type !== 'round-closed') return lineOf(progress);
    const loss = mean(losses.filter((value) => value !== null));
    losses = [];
    return `round ${progress.round}/${progress.rounds}  training loss ${number(loss)}`;
  };
}

function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((a, b) => a + b, 0) / values.length;
}

function lineOf(progress: Progress): string | undefined {
  switch (progress.type) {
    case 'preparing':
      return `${progress.what}: ${progress.detail}`;
    case 'download':
      return progress.doneBytes === progress.totalBytes
        ? `fetched ${progress.file} (${formatBytes(progress.totalBytes)})`
        : undefined;
    case 'opened':
      return opened(progress);
    case 'validated':
      return `round ${progress.round}  validation: ${scoresText(progress.result.pooled)}`;
    case 'work-done':
      return workDone(progress);
    case 'published':
      return `adapter written to ${progress.folder}`;
    default:
      return undefined;
  }
}

function opened({
  resumed,
  owners,
  rounds,
  cohortSize,
  workers,
  folder,
}: Progress & { type: 'opened' }): string {
  const clients = cohortSize === owners.length ? `all ${cohortSize}` : `${cohortSize} of ${owners.length}`;
  const start = resumed ? 'resumed in' : 'run folder';
  return `${start} ${folder}: ${rounds} round${rounds === 1 ? '' : 's'}, ${clients} owners a round, ${workers} worker${workers === 1 ? '' : 's'}`;
}

function workDone({ event }: Progress & { type: 'work-done' }): string | undefined {
  if (event.type === 'client-failed') return `round ${event.round}  ${event.owner} failed: ${event.reason}`;
  if (event.type === 'update-received' && !event.check.ok)
    return `round ${event.round}  update of ${event.owner} refused: ${event.check.reason}`;
  if (event.type === 'arm-trained')
    return `baseline ${event.arm} trained: ${event.stats.steps} steps, last loss ${number(event.stats.lastLoss)}`;
  if (event.type === 'arm-failed') return `baseline ${event.arm} failed: ${event.reason}`;
  return undefined;
}

export function scoresText(scores: Scores): string {
  return Object.entries(scores)
    .filter(([metric]) => metric !== 'perplexity')
    .map(([metric, value]) => `${metricLabel(metric)} ${formatScore(metric, value)}`)
    .join(', ');
}

function number(value: number | null): string {
  return value === null ? 'unknown' : value.toFixed(3);
}
