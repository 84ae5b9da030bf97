/** Looking before joining: what a token would let in to, and files of the base model for a preview. Uses nothing up. */

import type { WireResponse } from '../../../federation/wire/transport.ts';
import { checkToken } from '../../tokens.ts';
import { jsonAnswer } from '../answers.ts';
import type { Call, HandlerContext } from '../calls.ts';
import { modelFileAnswer } from './blob.ts';
import { leaderOfToken, limitingFailures } from './token-run.ts';

export function peek(context: HandlerContext, call: Call<'peek'>): Promise<WireResponse> {
  return limitingFailures(context, call.request, async () => {
    const found = await look(context, call);
    if (found.kind === 'answered') return found.answer;
    const { led, known } = found;
    return jsonAnswer({ run: led.run, owner: known.token.owner, manifest: led.record.manifest });
  });
}

export function peekFile(context: HandlerContext, call: Call<'peekFile'>): Promise<WireResponse> {
  return limitingFailures(context, call.request, async () => {
    const found = await look(context, call);
    if (found.kind === 'answered') return found.answer;
    return modelFileAnswer(found.led, call.params.digest, call.request.headers);
  });
}

function look(context: HandlerContext, call: Call<'peek' | 'peekFile'>) {
  const nowMs = context.parts.clock.nowMs();
  return leaderOfToken(context, call, (known) => checkToken(known, undefined, nowMs));
}
