/** Scores of an owner on its own held-out examples. */

import { evaluateWorkOf } from '../../../federation/outstanding.ts';
import { entryOf, type RunState } from '../../../federation/state.ts';
import type { WireResponse } from '../../../federation/wire/transport.ts';
import { jsonAnswer } from '../answers.ts';
import type { ClientCall, HandlerContext } from '../calls.ts';

/** `accepted: false`: the evaluation is closed, was never asked for, or is about other params. */
export async function submitEvaluation(
  _: HandlerContext,
  { led, client, body }: ClientCall<'submitEvaluation'>,
): Promise<WireResponse> {
  const { state } = led;
  const { evaluation, params, result } = body;
  const { owner } = client;
  if (state === undefined) return jsonAnswer({ accepted: false });
  // The answer to an earlier request may have been lost on its way.
  if (hasAnswered(state, evaluation, owner)) return jsonAnswer({ accepted: true });
  const work = evaluateWorkOf(state).find((item) => item.evaluation === evaluation);
  if (work?.params !== params) return jsonAnswer({ accepted: false });
  const step = await led.submit({ type: 'owner-evaluated', evaluation, owner, result });
  return jsonAnswer({ accepted: hasAnswered(step.state, evaluation, owner) });
}

function hasAnswered({ answers, evaluations }: RunState, evaluation: string, owner: string): boolean {
  const given = entryOf(answers, evaluation);
  const closed = entryOf(evaluations, evaluation)?.owners;
  return entryOf(given ?? {}, owner) !== undefined || entryOf(closed ?? {}, owner) !== undefined;
}
