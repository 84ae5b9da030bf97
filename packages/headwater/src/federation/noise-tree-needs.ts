/** What noise in a tree asks of a run before it starts: that what a node adds comes out again, and that owners last. Pure. */

import type { TrainableTensor } from '../tuning/kind.ts';
import type { ClientPrivacy } from './client-privacy.ts';
import type { BoundMethod } from './method.ts';

interface TreeFacts {
  readonly owners?: readonly unknown[] | undefined;
  readonly cohortSize?: number | undefined;
  /** Omitted: as few as show whether rounds differ. */
  readonly rounds?: number | undefined;
  readonly tensors: readonly TrainableTensor[];
}

const INSTEAD = 'use mechanism: gaussian';

/** One sentence for each; none without a tree. */
export function treeMistakes(facts: TreeFacts, privacy: ClientPrivacy, method: BoundMethod): string[] {
  if (privacy.tree === undefined) return [];
  const mistakes: string[] = [];
  if (privacy.trust !== undefined)
    mistakes.push(
      `privacy.clientLevel.mechanism: tree needs somebody who keeps the noise of earlier rounds, which owners with trust: ${privacy.trust} do not; use trust: central, or mechanism: gaussian`,
    );
  if (privacy.adaptive !== undefined)
    mistakes.push(
      'privacy.clientLevel.mechanism: tree adds up updates of many rounds under one noise, which an adaptive clip would measure by another length in each; use clip.kind: fixed, or mechanism: gaussian',
    );
  return [...mistakes, ...ownersMistakes(facts, privacy), ...methodMistakes(facts, method)];
}

/** An owner is in one leaf of a tree: there have to be as many as a whole tree counts. */
function ownersMistakes(
  { owners, cohortSize = owners?.length }: TreeFacts,
  { tree }: ClientPrivacy,
): string[] {
  if (owners === undefined || cohortSize === undefined || tree === undefined) return [];
  const most = Math.floor(owners.length / cohortSize);
  if (tree.leaves <= most) return [];
  const choice =
    most >= 2 ? `set treeRounds to at most ${most}` : `lower federation.cohortSize, or ${INSTEAD}`;
  return [
    `privacy.clientLevel.mechanism: tree counts an owner once in a tree; ${tree.leaves} rounds of ${cohortSize} take ${tree.leaves * cohortSize} owners, there are ${owners.length}: ${choice}`,
  ];
}

/**
 * What the server does with a round’s noisy mean costs no privacy: it is the difference of two noisy prefix sums, and any step from it
 * is post-processing. But the noise of a node has to come out of the elements that it went into.
 */
function methodMistakes({ tensors, rounds = 2 }: TreeFacts, method: BoundMethod): string[] {
  // Refused with any noise.
  if (method.secureAggregation !== 'yes') return [];
  if (!method.serverByElement)
    return [
      `privacy.clientLevel.mechanism: tree takes noise out again that earlier rounds put in, but the server of ${method.id} moves other params by it than it came from, where it stays; choose a method whose server steps element by element (fedavg, fedavgm, fedadam …), or ${INSTEAD}`,
    ];
  const sent = (round: number) =>
    method
      .wire(tensors, round, '')
      .map(({ name }) => name)
      .sort()
      .join(' ');
  const first = sent(1);
  for (let round = 2; round <= rounds; round++)
    if (sent(round) !== first)
      return [
        `privacy.clientLevel.mechanism: tree has one noise for the updates of many rounds, but with ${method.id} rounds take turns in what they send; choose a method that sends the same tensors in every round, or ${INSTEAD}`,
      ];
  return [];
}
