/** An owner withdraws; it may come back by enrolling again. */

import type { WireResponse } from '../../../federation/wire/transport.ts';
import { jsonAnswer } from '../answers.ts';
import type { ClientCall, HandlerContext } from '../calls.ts';

export async function leave(
  { parts }: HandlerContext,
  { led, client }: ClientCall<'leave'>,
): Promise<WireResponse> {
  const { owner } = client;
  parts.log.info('left', { run: led.run, owner });
  if (led.state === undefined) await led.waitingRoom.remove(owner);
  else if (led.state.status === 'running')
    await led.submit({ type: 'owner-left', owner, reason: 'it withdrew' });
  return jsonAnswer({ accepted: true });
}
