/** What was hidden from whom in a run whose updates were masked, in sentences that results, report, pages and adapter carry. */

import type { RunEvent } from '../federation/events.ts';
import type { RunPlan } from '../federation/plan.ts';

export interface RunSecureAggregation {
  readonly mode: NonNullable<RunPlan['secureAggregation']>['mode'];
  readonly groupSize: number | null;
  /** `SIMULATED`: masks followed from the run's seed. Null: from secrets of the owners. */
  readonly stamp: 'SIMULATED' | null;
  readonly statement: string;
  /** Attempts of rounds that were given up; nothing of them was used. */
  readonly abandoned: readonly AbandonedAttempt[];
}

export interface AbandonedAttempt {
  readonly round: number;
  readonly attempt: number;
  readonly reason: string;
  /** The round too: its params are those of the round before. */
  readonly passedOver: boolean;
}

type MaskedPlan = Pick<RunPlan, 'secureAggregation' | 'quorum' | 'pace' | 'privacy'>;

/** Undefined: nothing was masked. `events`: of the run so far. */
export function secureAggregationOf(
  plan: MaskedPlan,
  events: readonly RunEvent[] = [],
): RunSecureAggregation | undefined {
  const { secureAggregation, pace } = plan;
  if (secureAggregation === undefined) return undefined;
  const { mode, groupSize = null } = secureAggregation;
  const simulated = pace.evaluatedBy === 'shell';
  const abandoned = events.flatMap(abandonedIn);
  const told = [hidden(plan), opened(mode), ...givenUp(abandoned), shown(plan)].join(' ');
  const statement = simulated ? SIMULATED : told;
  return { mode, groupSize, stamp: simulated ? 'SIMULATED' : null, statement, abandoned };
}

function abandonedIn(event: RunEvent): AbandonedAttempt[] {
  if (event.type !== 'attempt-abandoned') return [];
  const { round, attempt, reason, passedOver = false } = event;
  return [{ round, attempt, reason, passedOver }];
}

function givenUp(abandoned: readonly AbandonedAttempt[]): string[] {
  const anew = abandoned.filter(({ passedOver }) => !passedOver);
  const passed = abandoned.filter(({ passedOver }) => passedOver);
  const which = anew.map(({ round, attempt }) => `${attempt} of round ${round}`).join(', ');
  const rounds = passed.map(({ round }) => round).join(', ');
  return [
    ...(anew.length === 0
      ? []
      : [`Abandoned, without opening anything, and begun anew with fresh keys: attempt ${which}.`]),
    ...(passed.length === 0
      ? []
      : [
          `Passed over, because too few owners were left while masks were opened: round ${rounds}; nothing of it was used.`,
        ]),
  ];
}

const SIMULATED =
  'SIMULATED secure aggregation: updates were masked and sums unmasked as in a deployment, at its cost and with the bits of a plain run, but the masks follow from the run’s seed and hide nothing.';

function hidden({ secureAggregation, quorum }: MaskedPlan): string {
  const { groupSize } = secureAggregation!;
  const sums =
    groupSize === undefined
      ? `sums over at least ${quorum} owners`
      : `sums over groups of at least ${groupSize} owners`;
  return `Secure aggregation: what each owner sent was masked, and the coordinator learnt nothing but ${sums}.`;
}

function opened(mode: RunSecureAggregation['mode']): string {
  return mode === 'two-server'
    ? 'The masks were opened by a helper of another party, which saw no update; the two together could read every one.'
    : 'The masks were opened by the owners together; the coordinator could read an update only with more of them on its side than the run assumes, or with all others of a sum.';
}

function shown({ privacy }: MaskedPlan): string {
  return privacy === undefined ? SHOWN : SHOWN_WITH_NOISE;
}

const SHOWN_WITH_NOISE =
  'That an owner took part, and how many examples it said it had, is not hidden; the sums carry the noise of privacy.clientLevel, and losses are withheld.';

const SHOWN =
  'The sums themselves, that an owner took part, and the counts and losses that it told are not hidden; a sum says less about one owner only with noise (privacy.clientLevel).';
