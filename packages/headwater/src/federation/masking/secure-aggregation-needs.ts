/**
 * What secure aggregation asks of a run before it starts: that a sum is all that its server needs, and that nothing else of it has to
 * look at single updates. Each refusal says what it would break and what to choose instead. It knows no method and no rule by name.
 */

import { graphExists, numGroupsOf } from '../../privacy/secure-aggregation/graph.ts';
import type { TrainableTensor } from '../../tuning/kind.ts';
import type { ClientPrivacy } from '../client-privacy.ts';
import type { BoundMethod } from '../method.ts';
import { MAX_SECURE_COHORT, type SecureAggregation } from './secure-aggregation.ts';

export interface SecureAggregationFacts {
  readonly secureAggregation?: SecureAggregation | undefined;
  readonly privacy?: ClientPrivacy | undefined;
  readonly freeRiders?: object | undefined;
  readonly keepUpdates?: true | undefined;
  readonly quorum: number;
  readonly cohortSize: number;
  readonly owners: readonly { readonly owner: string }[];
  readonly tensors: readonly TrainableTensor[];
  /** Id of what the updates travel as. */
  readonly compression?: string | undefined;
  readonly pace?:
    | {
        readonly mode?: 'synchronous' | 'buffered';
        readonly maxUpdateNorm?: number | null;
        readonly asked?: number;
      }
    | undefined;
}

/** Of two, one knows what the other sent. */
const FEWEST_UPDATES = 3;

const PATH = 'privacy.secureAggregation';

/** One sentence for each. */
export function secureAggregationMistakes(facts: SecureAggregationFacts, method: BoundMethod): string[] {
  const { secureAggregation } = facts;
  if (secureAggregation === undefined) return [];
  return [
    ...methodMistakes(facts, method),
    ...roundMistakes(facts),
    ...privacyMistakes(facts, secureAggregation),
    ...groupMistakes(facts, secureAggregation, method),
    ...graphMistakes(facts, secureAggregation),
  ];
}

const INSTEAD = 'choose a method that only averages updates, as docs/methods.md tells';

function methodMistakes({ tensors, owners }: SecureAggregationFacts, method: BoundMethod): string[] {
  const { id, sumsOnly, serverTrain, rule, combine } = method;
  if (sumsOnly !== 'yes')
    return [`${PATH} opens sums only, which is not enough for ${id}: ${sumsOnly.noBecause}; ${INSTEAD}`];
  if (serverTrain !== undefined || (rule === undefined && combine !== undefined))
    return [`${PATH} opens sums only, but the server of ${id} looks at whole updates; ${INSTEAD}`];
  const names = owners.length === 0 ? [''] : owners.slice(0, OWNERS_LOOKED_AT).map(({ owner }) => owner);
  for (const round of [1, 2]) {
    const sent = new Set(names.map((owner) => describe(method, tensors, round, owner)));
    if (sent.size > 1)
      return [
        `${PATH} adds masked updates word by word, but by ${id} owners send different tensors; ${INSTEAD}`,
      ];
  }
  return [];
}

/** Of all sizes that a round may have, the largest and the least are looked at. */
function graphMistakes(
  { quorum, cohortSize, pace }: SecureAggregationFacts,
  { assumed, groupSize }: SecureAggregation,
): string[] {
  if (assumed === undefined) return [];
  const asked = pace?.asked ?? cohortSize;
  if (asked > MAX_SECURE_COHORT)
    return [
      `${PATH}.mode: secagg-plus is for at most ${MAX_SECURE_COHORT} owners in a round, got ${asked}; lower federation.cohortSize, or choose mode: two-server`,
    ];
  const numGroups = numGroupsOf(quorum, groupSize);
  const sizes = [asked, cohortSize, quorum].filter((size) => !graphExists(size, numGroups, assumed));
  if (sizes.length === 0) return [];
  return [
    `${PATH} finds no neighbourhoods among ${sizes[0]} owners for adversaries: ${assumed.adversaries} and dropouts: ${assumed.dropouts}; lower one of the two`,
  ];
}

const OWNERS_LOOKED_AT = 64;

function describe(
  method: BoundMethod,
  tensors: readonly TrainableTensor[],
  round: number,
  owner: string,
): string {
  return method
    .wire(tensors, round, owner)
    .map(({ name, shape }) => `${name} ${shape.join()}`)
    .join('; ');
}

function roundMistakes(facts: SecureAggregationFacts): string[] {
  const { compression = 'none', pace, quorum, freeRiders, keepUpdates } = facts;
  const mistakes: string[] = [];
  if (compression !== 'none')
    mistakes.push(
      `masks need every element of an update as an integer at its own place, which compression ${compression} changes; set federation.compression.kind: none`,
    );
  if (pace?.mode === 'buffered')
    mistakes.push(
      `${PATH} in buffered mode would have to weigh updates by how late they came, which is not known when they are masked; set federation.mode.kind: synchronous`,
    );
  if (pace?.maxUpdateNorm != null)
    mistakes.push(
      `federation.maxUpdateNorm cannot be checked on masked updates; leave it out, or bound what one owner can do with ${PATH}.groupSize and federation.robust`,
    );
  if (quorum < FEWEST_UPDATES)
    mistakes.push(
      `${PATH} with a quorum of ${quorum} would show each of two owners what the other sent; set federation.quorum to ${FEWEST_UPDATES} or more`,
    );
  if (freeRiders !== undefined)
    mistakes.push(`${PATH} hides single updates from the watch for free-riders; leave one of the two out`);
  if (keepUpdates !== undefined)
    mistakes.push(`${PATH} leaves nothing of single updates that could be kept; leave one of the two out`);
  return mistakes;
}

function privacyMistakes({ privacy }: SecureAggregationFacts, { groupSize }: SecureAggregation): string[] {
  if (privacy === undefined || privacy.trust === 'local') return [];
  if (groupSize !== undefined)
    return [
      `privacy.clientLevel adds noise for the sum of a whole round, but ${PATH}.groupSize opens the sums of groups, whose part of the noise is too small; leave one of the two out`,
    ];
  if (privacy.trust === 'distributed') return [];
  return [
    `privacy.clientLevel with trust: central has the coordinator clip every update and add the noise, which it cannot do to masked ones; set trust: distributed`,
  ];
}

function groupMistakes(
  { quorum }: SecureAggregationFacts,
  { groupSize }: SecureAggregation,
  { rule }: BoundMethod,
): string[] {
  if (groupSize === undefined) {
    if (rule === undefined) return [];
    return [
      `federation.robust: ${rule.id} looks at single updates, which masks hide; set ${PATH}.groupSize, then it is over the means of groups`,
    ];
  }
  const mistakes: string[] = [];
  if (rule === undefined)
    mistakes.push(
      `${PATH}.groupSize opens more sums than one, which only federation.robust needs; leave it out, or choose a rule`,
    );
  const groups = numGroupsOf(quorum, groupSize);
  const byzantine = rule?.byzantine ?? 0;
  if (rule !== undefined && groups <= 2 * byzantine + 3)
    mistakes.push(
      `federation.robust: ${rule.id} with byzantine: ${byzantine} needs more than 2f + 3 = ${2 * byzantine + 3} groups, but a round that closes with ${quorum} updates has ${groups} of ${groupSize}; raise federation.quorum and cohortSize, or lower groupSize`,
    );
  return mistakes;
}
