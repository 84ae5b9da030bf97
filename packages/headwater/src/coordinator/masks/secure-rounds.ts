/**
 * SecAgg+ in a run: one thing after the other, takes what owners say, has it written down, moves the attempt on and tells each what
 * comes next. What a step is and when it is over is decided in the files beside it.
 */

import { assert, HeadwaterError, messageOf } from '../../base/errors.ts';
import type { AggregateWork } from '../../federation/events.ts';
import { attemptOf } from '../../federation/masking/masking-of.ts';
import type { OpenRound, RunState } from '../../federation/state.ts';
import { Refusal } from '../../federation/wire/refusals.ts';
import type { SecureRoundAnswer, SecureRoundRequest } from '../../federation/wire/secure-rounds.ts';
import { inTurn } from '../../storage/in-turn.ts';
import { type AttemptView, nextFor } from './attempt-view.ts';
import { beginAttempt } from './begin-attempt.ts';
import { type Moves, moved } from './move-attempt.ts';
import { type SecureRoundsParts, wakeAll } from './secure-round-parts.ts';
import { createStepClock } from './step-clock.ts';
import { take } from './take-said.ts';
import type { Opened } from './unmasking.ts';

export interface SecureRounds {
  /** What comes next for the owner, after what it says. Throws Refusal. */
  converse(owner: string, request: SecureRoundRequest): Promise<SecureRoundAnswer>;
  /** Whether the owner may hand in a masked update now. */
  mayUpload(owner: string): Promise<boolean>;
  /** After each change of the run. */
  follow(): void;
  /** The masks of the frozen members; `abandoned`: there will be none. */
  open(work: AggregateWork): Promise<Opened>;
  close(): void;
}

interface Opening {
  readonly view: AttemptView;
  readonly resolve: (opened: Opened) => void;
  readonly reject: (cause: unknown) => void;
}

export function createSecureRounds(parts: SecureRoundsParts): SecureRounds {
  const turn = inTurn();
  let view: AttemptView | undefined;
  let opening: Opening | undefined;
  let closed = false;
  const clock = createStepClock(parts.timers, follow);
  const moves: Moves = { parts, clock, isAwaited: (known) => opening?.view === known, settle };

  /** Of the open round's attempt, as it stands in the store. */
  async function viewOf({ round, ...open }: OpenRound): Promise<AttemptView> {
    const number = attemptOf(open);
    if (view?.round !== round || view.number !== number) {
      retire();
      view = await parts.records.load(round, number);
      await parts.records.removeOthers(view);
    }
    return view;
  }

  /** Nothing more comes of this attempt: whoever waits in it is told so. */
  function retire(): void {
    wakeAll(parts, view?.begun?.attempt.roster.map(({ owner }) => owner) ?? []);
    view = undefined;
  }

  /** In its turn. Repeats while something changes, because a change may be what the next step waited for. */
  async function advance(): Promise<void> {
    for (;;) {
      const state = parts.state();
      if (closed || state?.status !== 'running' || state.open === undefined) return rest(state);
      const { open } = state;
      const known = await viewOf(open);
      if (opening !== undefined && opening.view !== known) settle({ kind: 'abandoned' });
      if (state.paused !== null) return;
      if (!(await moved(moves, state, open, known))) return;
    }
  }

  async function rest(state: RunState | undefined): Promise<void> {
    clock.cancel();
    if (state !== undefined && state.open === undefined && view !== undefined) {
      retire();
      await parts.records.removeOthers(undefined);
    }
    if (opening !== undefined) settle({ kind: 'abandoned' });
  }

  function settle(opened: Opened): void {
    opening?.resolve(opened);
    opening = undefined;
  }

  function follow(): void {
    turn('attempt', advance).catch(failed);
  }

  /** A store that fails breaks the driver too, and the run is taken up anew. */
  function failed(cause: unknown): void {
    parts.log.warn('secure-round-failed', { run: parts.run, reason: messageOf(cause) });
  }

  async function said(owner: string, { round, said }: SecureRoundRequest): Promise<SecureRoundAnswer> {
    const state = parts.state();
    const open = state?.status === 'running' ? state.open : undefined;
    if (state === undefined || open === undefined || open.round !== round) return NOTHING;
    const known = await viewOf(open);
    await beginAttempt(parts, state, open, known);
    if (said !== null && said.attempt === known.number)
      await take(parts, { open, known }, owner, said.what).catch(asRefusal);
    await advance();
    const after = parts.state();
    if (after?.status !== 'running' || after.open?.round !== round) return NOTHING;
    const next = await viewOf(after.open);
    await beginAttempt(parts, after, after.open, next);
    return { attempt: next.number, ...(await nextFor(after, next, owner)) };
  }

  return {
    converse: (owner, request) => turn('attempt', () => said(owner, request)),
    mayUpload: (owner) =>
      turn('attempt', async () => {
        const open = parts.state()?.open;
        if (open === undefined) return false;
        const { present, left } = await viewOf(open);
        return present?.includes(owner) === true && !left.has(owner);
      }),
    follow,
    open: (work) =>
      new Promise((resolve, reject) => {
        if (closed) return reject(new Error('the run is led by nobody here any more'));
        const state = parts.state();
        assert(state?.open?.round === work.round, 'the round whose masks are opened is open');
        const { open } = state;
        turn('attempt', async () => {
          opening = { view: await viewOf(open), resolve, reject };
          wakeAll(parts, open.members?.map(({ owner }) => owner) ?? []);
          await advance();
        }).catch(reject);
      }),
    close() {
      closed = true;
      clock.cancel();
      opening?.reject(new Error('the run is led by nobody here any more'));
    },
  };
}

const NOTHING: SecureRoundAnswer = { attempt: 1, told: null, over: true };

function asRefusal(cause: unknown): never {
  if (cause instanceof HeadwaterError && cause.code === 'SECURE_AGGREGATION_ABORTED')
    throw new Refusal('request-invalid', cause.message);
  throw cause;
}
