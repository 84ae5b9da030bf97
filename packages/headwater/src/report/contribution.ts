/** What each owner added to a run, as a table and a section of its report. */

import { significant } from '../base/format.ts';
import type { Contribution, Figure } from '../runs/contribution.ts';
import type { Section } from './page.ts';

export const CONTRIBUTION_NOTE =
  'Nats of validation loss, summed over the rounds looked at: positive where the loss fell with the owner in. ± is a 95 % interval over the choice of validation rows and, of Shapley values, of permutations; the choice of rounds adds to it. Whose examples are like nobody else’s may look bad to a validation set that has none of them. Similarity is a heuristic: the cosine of an owner’s product B A with the round’s mean.';

export function contributionTable({ owners }: Contribution): {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
} {
  const ordered = [...owners].sort((a, b) => b.shapley.value - a.shapley.value);
  return {
    head: ['owner', 'rounds', 'Shapley', 'leave-one-out', 'similarity'],
    rows: ordered.map((own) => [
      own.owner,
      String(own.rounds),
      figureText(own.shapley),
      figureText(own.leaveOneOut),
      own.similarity?.toFixed(3) ?? '–',
    ]),
  };
}

function figureText({ value, halfWidth }: Figure): string {
  return halfWidth === null ? significant(value) : `${significant(value)} ± ${significant(halfWidth)}`;
}

/** How much was looked at, in a sentence. */
export function contributionExtent({
  rounds,
  roundsOfRun,
  coalitions,
  permutations,
  numExamples,
}: Contribution): string {
  const how = permutations === 0 ? 'all coalitions' : `${permutations} permutations`;
  return `Rounds ${rounds.join(', ')} of ${roundsOfRun}; ${how}: ${coalitions} different coalitions, on ${numExamples} validation rows.`;
}

export function contributionSections(contribution: Contribution | undefined): Section[] {
  if (contribution === undefined) return [];
  const { head, rows } = contributionTable(contribution);
  const how = contributionExtent(contribution);
  return [
    {
      title: 'Contribution of owners',
      blocks: [
        {
          kind: 'table',
          caption: 'What each owner added, by GTG-Shapley and by leaving it out',
          head,
          rows: rows.map((cells) => ({ cells })),
          numeric: true,
        },
        { kind: 'notes', notes: [how, CONTRIBUTION_NOTE] },
      ],
    },
  ];
}
