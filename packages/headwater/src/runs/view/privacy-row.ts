/** What a run with privacy has spent so far, as one row: ε and a sentence of the ledger. It knows no accountant. */

import { simulatedStatement } from '../../federation/client-privacy.ts';
import type { RunEvent } from '../../federation/events.ts';
import { mostSpentOnExamples } from '../../federation/example-ledger.ts';
import type { ExamplePrivacy } from '../../federation/example-privacy.ts';
import { guaranteeFor } from '../../federation/privacy-ledger.ts';
import type { RunState } from '../../federation/state.ts';
import { examplePrivacyStatement, mostOfPlan, noiseOf } from '../example-privacy.ts';
import { secretStatement, spentGuarantee } from '../privacy.ts';
import type { PrivacyRow } from './rows.ts';

/** Anew when something was planned or released; `before` otherwise. Null: the run has no privacy. */
export function privacyAfter(before: PrivacyRow | null, state: RunState, event: RunEvent): PrivacyRow | null {
  const { privacy, examplePrivacy, cohortSize } = state.plan;
  if (examplePrivacy !== undefined) return ofExamples(before, state, examplePrivacy, event);
  if (privacy === undefined) return null;
  if (event.type === 'created') {
    const { delta = null, maxParticipations } = privacy;
    const most = delta === null ? null : guaranteeFor(privacy, delta, maxParticipations).epsilon;
    return { delta, epsilon: null, mostEpsilon: finite(most), releases: 0, statement: null };
  }
  if (before === null || event.type !== 'aggregated' || event.report.release === undefined) return before;
  const releases = before.releases + 1;
  const guarantee = event.report.release.noise === 'secret' ? spentGuarantee(state, privacy) : null;
  if (guarantee === null)
    return {
      ...before,
      ...{ releases, epsilon: null, mostEpsilon: null },
      statement: simulatedStatement(privacy, cohortSize),
    };
  return {
    ...before,
    ...{ releases, epsilon: finite(guarantee.epsilon) },
    statement: secretStatement(guarantee, state),
  };
}

/** Of single examples: what every round costs is known when it closes. */
function ofExamples(
  before: PrivacyRow | null,
  state: RunState,
  privacy: ExamplePrivacy,
  { type }: RunEvent,
): PrivacyRow | null {
  const secret = noiseOf(state.plan) === 'secret';
  const { delta = null } = privacy;
  if (type === 'created') {
    const most = secret ? (mostOfPlan(state.plan)?.guarantee.epsilon ?? null) : null;
    return { delta, epsilon: null, mostEpsilon: finite(most), releases: 0, statement: null };
  }
  if (before === null || type !== 'aggregated') return before;
  const spent = secret ? (mostSpentOnExamples(state)?.guarantee.epsilon ?? null) : null;
  const statement = examplePrivacyStatement(state, privacy);
  return { ...before, epsilon: finite(spent), releases: before.releases + 1, statement };
}

/** JSON has no infinity. */
function finite(epsilon: number | null): number | null {
  return epsilon === null || !Number.isFinite(epsilon) ? null : epsilon;
}
