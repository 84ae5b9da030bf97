/** How well the runs of an arm told free-riders apart: means over its seeds. Pure. */

import type { Accuracy, Detection } from '../runs/free-riders.ts';
import type { DetectionSummary } from './comparison.ts';
import type { StoredCell } from './stored.ts';

/** Null where no run knows who was one. */
export function detectionOf(cells: readonly StoredCell[]): DetectionSummary | null {
  const all = cells.flatMap(({ results }) => results.freeRiders?.detection ?? []);
  if (all.length === 0) return null;
  const of = (key: keyof Detection) => meanAccuracy(all.map((detection) => detection[key]));
  return { watch: of('watch'), s2Wef: of('s2Wef'), wef: of('wef'), owners: of('owners') };
}

/** Of each figure over the runs in which it has a meaning. */
function meanAccuracy(all: readonly Accuracy[]): Accuracy {
  const mean = (key: keyof Accuracy) => {
    const known = all.flatMap((accuracy) => accuracy[key] ?? []);
    return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
  };
  return {
    precision: mean('precision'),
    recall: mean('recall'),
    f1: mean('f1'),
    falseAlarms: mean('falseAlarms'),
  };
}
