/** The transparency log for a client: the head, that it extends the one seen before, and that what concerns the client is in it. */

import { Refusal } from '../../../federation/wire/refusals.ts';
import type { WireResponse } from '../../../federation/wire/transport.ts';
import type { Wanted } from '../../run-logs.ts';
import { jsonAnswer } from '../answers.ts';
import type { ClientCall, HandlerContext } from '../calls.ts';

export async function log(
  { logs }: HandlerContext,
  { led, client, query }: ClientCall<'log'>,
): Promise<WireResponse> {
  const { since, update, params } = query;
  if (update !== undefined && params !== undefined)
    throw new Refusal('request-invalid', 'ask for an update or for params, one at a time');
  // Of its own updates only: who else took part is nobody's business.
  const wanted: Wanted | undefined =
    update !== undefined ? { update, owner: client.owner } : params !== undefined ? { params } : undefined;
  return jsonAnswer(await logs.prove(led.run, led.driver.seq, since, wanted));
}
