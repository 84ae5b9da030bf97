/** From a join token to the run that it opens, with a limit on guessing: of one address only failures count. */

import { Refusal } from '../../../federation/wire/refusals.ts';
import type { WireResponse } from '../../../federation/wire/transport.ts';
import type { LedRun } from '../../lead/led-run.ts';
import type { IncomingRequest } from '../../ports.ts';
import { findToken, type KnownToken } from '../../tokens.ts';
import { once } from '../answers.ts';
import { notHere } from '../authenticate.ts';
import type { Call, HandlerContext } from '../calls.ts';
import { passOn } from '../pass-on.ts';

export type TokenRun =
  | { readonly kind: 'led'; readonly led: LedRun; readonly known: KnownToken }
  /** By the process that leads the run. */
  | { readonly kind: 'answered'; readonly answer: WireResponse };

/** `check` throws when the token does not let in. */
export async function leaderOfToken(
  context: HandlerContext,
  { request, body, bodyBytes }: Call<'join' | 'peek' | 'peekFile'>,
  check: (known: KnownToken) => void,
): Promise<TokenRun> {
  const known = await findToken(context.parts.store.records, body.token);
  check(known);
  const found = await context.leadership.find(known.token.run);
  switch (found.kind) {
    case 'led':
      return { kind: 'led', led: found.led, known };
    case 'elsewhere': {
      const again = { ...request, body: once(bodyBytes ?? new Uint8Array()) };
      return { kind: 'answered', answer: await passOn(context, found.node, again) };
    }
    case 'hindered':
      throw notHere(found.reason);
    case 'unknown':
      throw new Refusal('token-refused', 'the run of this join token does not exist any more');
  }
}

/** Throws `rate-limited`. */
export async function limitingFailures(
  { failedJoins, parts }: HandlerContext,
  { remoteAddress }: IncomingRequest,
  attempt: () => Promise<WireResponse>,
): Promise<WireResponse> {
  const retryAfterMs = failedJoins.waitMs(remoteAddress, parts.clock.nowMs());
  if (retryAfterMs > 0)
    throw new Refusal('rate-limited', 'too many failed attempts to join from this address', { retryAfterMs });
  try {
    return await attempt();
  } catch (cause) {
    const guessed = cause instanceof Refusal && (cause.status === 401 || cause.status === 403);
    if (guessed && cause.code !== 'clock-skew') failedJoins.take(remoteAddress, parts.clock.nowMs());
    throw cause;
  }
}
