/** What a watch for free-riders saw, as a section of a run’s report and as lines of a table. It accuses nobody. */

import type { Sign } from '../federation/free-riders/report.ts';
import type { Accuracy, RunFreeRiders } from '../runs/free-riders.ts';
import type { RunResults } from '../runs/results.ts';
import type { Section, TableBlock } from './page.ts';

const WORDS: Readonly<Record<Sign, string>> = {
  zero: 'only zeros',
  copy: 'the bytes of another owner',
  twin: 'the direction of another owner',
  echo: 'the last round’s change',
  unrelated: 'nothing in common with the others',
  profile: 'unusual tensor lengths',
  's2-wef': 'S2-WEF',
  wef: 'plain WEF',
  impossible: 'figures that cannot be',
  'repeated-loss': 'its own loss of an earlier round',
  'shared-loss': 'the loss of another owner',
  'far-loss': 'a loss far from the others’',
  hasty: 'ten times as fast as the others',
};

export const FREE_RIDER_NOTE =
  'Signs, not proofs: an owner whose data are unlike all others’ may show them too. Nobody is banned for them. Speed, losses and tensor lengths alone make nobody a suspect: devices and data differ. S2-WEF needs most owners to be honest and is weak where owners’ data have little in common.';

/** Nothing for runs without a watch. */
export function freeRiderSections({ freeRiders, attack }: RunResults): Section[] {
  if (freeRiders === undefined) return [];
  const attackers = new Set(attack?.owners);
  const { head, rows } = freeRiderTable(freeRiders, (owner) => (attackers.has(owner) ? `${owner}*` : owner));
  const table: TableBlock = {
    caption: 'By owner: rounds in which its update looked like that of somebody who did not train',
    head,
    rows: rows.map((cells) => ({ cells })),
    numeric: false,
  };
  const notes = [FREE_RIDER_NOTE, ...detectionNotes(freeRiders)];
  return [
    {
      title: 'Free-riders',
      blocks: [
        { kind: 'table', ...table },
        { kind: 'notes', notes },
      ],
    },
  ];
}

export function freeRiderTable(
  { owners }: RunFreeRiders,
  named: (owner: string) => string = (owner) => owner,
): { readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] } {
  const rows = owners.map(({ owner, rounds, suspicious, signs, suspected, since }) => [
    named(owner),
    String(rounds),
    String(suspicious),
    suspected ? `suspected since round ${since}` : '–',
    Object.entries(signs)
      .map(([sign, count]) => `${WORDS[sign as Sign]} ${count}`)
      .join(', '),
  ]);
  return { head: ['owner', 'rounds', 'suspicious', '', 'signs'], rows };
}

/** How right it was, in simulations. */
export function detectionNotes({ detection }: RunFreeRiders): string[] {
  if (detection === undefined) return [];
  const { watch, s2Wef, wef, owners } = detection;
  return [
    `Owner by owner and round by round the watch had ${accuracyText(watch)}; S2-WEF alone ${accuracyText(s2Wef)}; plain WEF alone ${accuracyText(wef)}. Suspected owners: ${accuracyText(owners)}.`,
  ];
}

function accuracyText({ precision, recall, f1, falseAlarms }: Accuracy): string {
  const figure = (value: number | null) => (value === null ? '–' : value.toFixed(2));
  return `precision ${figure(precision)}, recall ${figure(recall)}, F1 ${figure(f1)}, false alarms ${figure(falseAlarms)}`;
}
