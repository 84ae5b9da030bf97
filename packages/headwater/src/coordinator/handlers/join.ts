/** A client shows its token and its key and becomes the one that speaks for an owner. */

import { fromBase64url } from '../../base/base64url.ts';
import { Refusal } from '../../federation/wire/refusals.ts';
import { bodyDigestOf, clientIdOf } from '../../federation/wire/signing.ts';
import type { WireResponse } from '../../federation/wire/transport.ts';
import { jsonAnswer } from '../answers.ts';
import { checkSignature, checkTime, signatureOf } from '../authenticate.ts';
import type { Call, HandlerContext } from '../calls.ts';
import type { LedRun } from '../led-run.ts';
import { checkToken, redeemToken } from '../tokens.ts';
import { leaderOfToken, limitingFailures } from './token-run.ts';

export function join(context: HandlerContext, call: Call<'join'>): Promise<WireResponse> {
  return limitingFailures(context, call.request, async () => {
    const clientId = await checkKey(context, call);
    const { clock } = context.parts;
    const found = await leaderOfToken(context, call, (known) => checkToken(known, clientId, clock.nowMs()));
    if (found.kind === 'answered') return found.answer;
    const { led, known } = found;
    await redeemToken(context.parts.store.records, known, clientId, clock.nowMs());
    const { publicKey, software } = call.body;
    const { owner } = await led.members.admit(
      { clientId, run: led.run, publicKey, tokenId: known.id, joinedMs: clock.nowMs(), software },
      known.token.owner,
    );
    context.parts.log.info('joined', { run: led.run, owner, clientId, software });
    return answerFor(led, clientId, owner, clock.nowMs());
  });
}

/** The request must be signed by the very key that it brings. */
async function checkKey(
  context: HandlerContext,
  { request, body, bodyBytes }: Call<'join'>,
): Promise<string> {
  const signed = signatureOf(request);
  const key = fromBase64url(body.publicKey);
  if (key === undefined || clientIdOf(key) !== signed.keyId)
    throw new Refusal('unauthenticated', 'the request is signed by another key than the one it brings');
  const nowMs = context.parts.clock.nowMs();
  checkTime(signed.createdMs, nowMs, 0);
  await checkSignature(context, signed, body.publicKey);
  if (bodyDigestOf(bodyBytes) !== signed.bodyDigest)
    throw new Refusal('unauthenticated', 'the body is not the one that was signed');
  return signed.keyId;
}

function answerFor(led: LedRun, clientId: string, owner: string, serverTimeMs: number): WireResponse {
  return jsonAnswer({ clientId, owner, run: led.run, manifest: led.record.manifest, serverTimeMs });
}
