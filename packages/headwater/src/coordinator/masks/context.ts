/** What a masked round is about, as clients of the run have it too: from the signed manifest and the plan. Pure. */

import { assert } from '../../base/errors.ts';
import type { SecureAggregation } from '../../federation/masking/secure-aggregation.ts';
import type { RunPlan } from '../../federation/plan.ts';
import { manifest } from '../../federation/wire/messages.ts';
import type { TwoServerContext } from '../../privacy/secure-aggregation/two-server/envelope.ts';
import { recipeShape } from '../../recipe/schema.ts';
import type { MaskFacts, RunWorks } from '../ports.ts';
import type { RunRecord } from '../records.ts';

export interface MaskedRound {
  readonly round: number;
  readonly attempt: number;
  /** Digest of the params. */
  readonly base: string;
  readonly facts: MaskFacts;
}

export interface Helper {
  readonly url: string;
  readonly key: string;
}

const secureAggregation = recipeShape.shape.privacy.unwrap().shape.secureAggregation;

/** Who opens the masks of a run; clients agreed to it. */
export function helperOf(record: Pick<RunRecord, 'manifest'>): Helper {
  return agreed(record).helper;
}

export function helperContext(
  run: string,
  record: Pick<RunRecord, 'manifest'>,
  { round, attempt, base, facts }: MaskedRound,
): TwoServerContext {
  const { helper, minUpdates, groupSize = null } = agreed(record);
  return {
    ...{ run, round, attempt, base, minUpdates, groupSize },
    operator: record.manifest.operatorKey,
    helper: helper.key,
    words: facts.words,
    layout: facts.layout,
  };
}

export function maskFacts(works: RunWorks, plan: RunPlan, round: number): MaskFacts {
  assert(works.maskFacts !== undefined, 'works of masked runs know their layout');
  return works.maskFacts(plan, round);
}

interface Agreed extends Pick<SecureAggregation, 'groupSize'> {
  readonly helper: Helper;
  readonly minUpdates: number;
}

/** Of texts, which never change: every update asks. */
const known = new Map<string, Agreed>();

function agreed({ manifest: { text } }: Pick<RunRecord, 'manifest'>): Agreed {
  const found = known.get(text);
  if (found !== undefined) return found;
  const { recipe, minCohort } = manifest.parse(JSON.parse(text));
  const privacy = recipe.privacy as { readonly secureAggregation?: unknown } | undefined;
  const { helper, groupSize } = secureAggregation.parse(privacy?.secureAggregation) ?? {};
  assert(helper !== undefined, 'a run with two servers names its helper');
  const made = { helper, minUpdates: minCohort, ...(groupSize === undefined ? {} : { groupSize }) };
  known.clear();
  known.set(text, made);
  return made;
}
