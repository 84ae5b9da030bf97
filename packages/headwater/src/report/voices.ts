/** Whom a robust rule listened to, round by round, and who attacked, as a section of a run’s report. */

import type { Metric } from '../runs/metrics.ts';
import type { RunResults } from '../runs/results.ts';
import type { Section, TableBlock } from './page.ts';

/** Below this an update counted less than in a mean. */
const LESS = 0.95;

/** Nothing for runs in which nobody attacked and everybody counted. */
export function voiceSections({ attack, owners }: RunResults, metrics: readonly Metric[]): Section[] {
  const attackers = new Set(attack?.owners);
  const heard = metrics.flatMap((metric) =>
    metric.type === 'round' && metric.voices !== undefined
      ? [{ round: metric.round, voices: metric.voices }]
      : [],
  );
  if (attack === undefined && heard.length === 0) return [];
  const notes = attack === undefined ? [] : [attack.statement, `Attackers are marked with *.`];
  const named = (owner: string) => (attackers.has(owner) ? `${owner}*` : owner);
  const table: TableBlock = {
    caption: `By round: owners whose updates the robust rule counted less than the mean of ${owners.length} would, and how much (1 is a part of the mean)`,
    head: ['round', 'left out', 'counted less'],
    rows: heard.map(({ round, voices }) => ({ cells: [String(round), ...toldOf(voices, named)] })),
    numeric: false,
  };
  return [
    {
      title: attack === undefined ? 'Robust aggregation' : attack.stamp,
      blocks: [
        { kind: 'notes', notes },
        ...(heard.length === 0 ? [] : [{ kind: 'table', ...table } as const]),
      ],
    },
  ];
}

function toldOf(voices: Readonly<Record<string, number>>, named: (owner: string) => string): string[] {
  const all = Object.entries(voices);
  const out = all.filter(([, voice]) => voice === 0).map(([owner]) => named(owner));
  const less = all
    .filter(([, voice]) => voice !== 0 && voice < LESS)
    .map(([owner, voice]) => `${named(owner)} ${voice.toFixed(2)}`);
  return [out.join(', ') || '–', less.join(', ') || '–'];
}
