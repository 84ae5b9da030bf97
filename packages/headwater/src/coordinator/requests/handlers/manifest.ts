/** What the run does, signed by the operator. */

import type { WireResponse } from '../../../federation/wire/transport.ts';
import { jsonAnswer } from '../answers.ts';
import type { ClientCall, HandlerContext } from '../calls.ts';

export async function manifest(_: HandlerContext, { led }: ClientCall<'manifest'>): Promise<WireResponse> {
  return jsonAnswer(led.record.manifest);
}
