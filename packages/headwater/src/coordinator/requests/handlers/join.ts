/** A client shows its token and its key and becomes the one that speaks for an owner. */

import { fromBase64url } from '../../../base/base64url.ts';
import { printable } from '../../../base/printable.ts';
import { Refusal } from '../../../federation/wire/refusals.ts';
import { bodyDigestOf, clientIdOf, type SignedRequest } from '../../../federation/wire/signing.ts';
import type { WireResponse } from '../../../federation/wire/transport.ts';
import type { LedRun } from '../../lead/led-run.ts';
import { checkToken, redeemToken } from '../../tokens.ts';
import { jsonAnswer } from '../answers.ts';
import { checkSignature, checkTime, signatureOf, useNonce } from '../authenticate.ts';
import type { Call, HandlerContext } from '../calls.ts';
import { leaderOfToken, limitingFailures } from './token-run.ts';

export function join(context: HandlerContext, call: Call<'join'>): Promise<WireResponse> {
  return limitingFailures(context, call.request, async () => {
    const signed = await checkKey(context, call);
    const clientId = signed.keyId;
    const { clock } = context.parts;
    const found = await leaderOfToken(context, call, (known) => checkToken(known, clientId, clock.nowMs()));
    if (found.kind === 'answered') return found.answer;
    const { led, known } = found;
    checkTime(signed.createdMs, clock.nowMs(), led.sinceMs);
    useNonce(led, signed, clock.nowMs());
    await redeemToken(context.parts.store.records, known, clientId, clock.nowMs());
    const { publicKey } = call.body;
    const software = printable(call.body.software);
    const { owner } = await led.members.admit(
      { clientId, run: led.run, publicKey, tokenId: known.id, joinedMs: clock.nowMs(), software },
      known.token.owner,
      signed.createdMs,
    );
    context.parts.log.info('joined', { run: led.run, owner, clientId, software });
    return answerFor(led, clientId, owner, clock.nowMs());
  });
}

/** The request must be signed by the very key that it brings. */
async function checkKey(
  context: HandlerContext,
  { request, body, bodyBytes }: Call<'join'>,
): Promise<SignedRequest> {
  const signed = signatureOf(request);
  const key = fromBase64url(body.publicKey);
  if (key === undefined || clientIdOf(key) !== signed.keyId)
    throw new Refusal('unauthenticated', 'the request is signed by another key than the one it brings');
  const nowMs = context.parts.clock.nowMs();
  checkTime(signed.createdMs, nowMs, 0);
  await checkSignature(context, signed, body.publicKey);
  if (bodyDigestOf(bodyBytes) !== signed.bodyDigest)
    throw new Refusal('unauthenticated', 'the body is not the one that was signed');
  return signed;
}

function answerFor(led: LedRun, clientId: string, owner: string, serverTimeMs: number): WireResponse {
  return jsonAnswer({ clientId, owner, run: led.run, manifest: led.record.manifest, serverTimeMs });
}
