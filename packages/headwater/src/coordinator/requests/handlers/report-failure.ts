/** A client says that it cannot do its training task: nobody waits for it in this round. */

import type { WireResponse } from '../../../federation/wire/transport.ts';
import { jsonAnswer } from '../answers.ts';
import type { ClientCall, HandlerContext } from '../calls.ts';

export async function reportFailure(
  { parts }: HandlerContext,
  { led, client, body }: ClientCall<'reportFailure'>,
): Promise<WireResponse> {
  const { state } = led;
  if (state === undefined) return jsonAnswer({ accepted: false });
  const { owner } = client;
  parts.log.warn('client-failed', { run: led.run, owner, round: body.round, reason: body.reason });
  const step = await led.submit({ type: 'client-failed', owner, ...body });
  return jsonAnswer({ accepted: step.state !== state });
}
