/** A step of a round whose owners open the masks together; waits until there is something to tell, or long enough. */

import type { WireResponse } from '../../../federation/wire/transport.ts';
import { jsonAnswer } from '../answers.ts';
import type { ClientCall, HandlerContext } from '../calls.ts';

export async function secureRound(
  { parts }: HandlerContext,
  { led, client, body, request }: ClientCall<'secureRound'>,
): Promise<WireResponse> {
  const untilMs = parts.clock.nowMs() + 1000 * body.wait;
  const { round, wait } = body;
  let { said } = body;
  for (;;) {
    const seen = led.waiters.wakings(client.owner);
    const answer = await led.secureRounds.converse(client.owner, { round, said, wait });
    said = null;
    const leftMs = untilMs - parts.clock.nowMs();
    if (answer.told !== null || answer.over || leftMs <= 0 || request.signal.aborted || led.closed)
      return jsonAnswer(answer);
    await led.waiters.wait(client.owner, seen, leftMs, request.signal);
    led.lastSeenMs.set(client.clientId, parts.clock.nowMs());
  }
}
