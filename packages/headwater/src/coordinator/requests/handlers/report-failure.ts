/** A client says that it cannot do its training task: nobody waits for it in this round. */

import { printable } from '../../../base/printable.ts';
import type { WireResponse } from '../../../federation/wire/transport.ts';
import { jsonAnswer } from '../answers.ts';
import type { ClientCall, HandlerContext } from '../calls.ts';
import { toldReason } from '../withheld.ts';

export async function reportFailure(
  { parts }: HandlerContext,
  { led, client, body }: ClientCall<'reportFailure'>,
): Promise<WireResponse> {
  const { state } = led;
  if (state === undefined) return jsonAnswer({ accepted: false });
  const { owner } = client;
  const { round } = body;
  const reason = toldReason(state.plan, printable(body.reason));
  parts.log.warn('client-failed', { run: led.run, owner, round, reason });
  const step = await led.submit({ type: 'client-failed', owner, round, reason });
  return jsonAnswer({ accepted: step.state !== state });
}
