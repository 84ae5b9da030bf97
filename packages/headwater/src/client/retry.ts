/**
 * Patience: a call is repeated until it succeeds, is refused for good, or the owner stops. Waits double with jitter, so that
 * many clients do not come back at once, and never undercut what the coordinator asks for.
 */

import { sleep } from '../base/clock.ts';
import { printable } from '../base/printable.ts';
import { asFailure, asUserError, interrupted, Refused, Unanswered } from './failures.ts';
import type { ClientParts } from './ports.ts';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
/** A coordinator that asks for more is not believed. */
const LONGEST_ASKED_MS = 600_000;

export type RetryParts = Pick<ClientParts, 'timers' | 'entropy' | 'onEvent'>;

/** `attempt` may be carried out several times. Throws INTERRUPTED, the refusal, or what the attempt throws for good. */
export async function persist<T>(
  parts: RetryParts,
  signal: AbortSignal,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let failures = 0; ; failures++) {
    if (signal.aborted) throw interrupted();
    try {
      return await attempt();
    } catch (cause) {
      if (signal.aborted) throw interrupted();
      const failure = asFailure(cause);
      const inMs = waitAfter(failure, failures, parts.entropy);
      if (inMs === undefined) throw asUserError(failure);
      parts.onEvent({ type: 'retry', reason: printable(failure.message), inMs });
      await sleep(parts.timers, inMs, signal);
    }
  }
}

/** Undefined: trying again is useless. */
function waitAfter(failure: Error, failures: number, entropy: RetryParts['entropy']): number | undefined {
  if (failure instanceof Unanswered) return backoff(failures, entropy);
  if (!(failure instanceof Refused)) return undefined;
  // The nonce was seen (the network sent the request twice), or the body came too slowly: the next try is a fresh one.
  if (failure.answer.code === 'replayed' || failure.status === 408) return backoff(failures, entropy);
  const asked = failure.answer.retryAfterMs;
  if (asked === undefined) return failure.status >= 500 ? backoff(failures, entropy) : undefined;
  return Math.max(
    jittered(Math.min(asked, LONGEST_ASKED_MS), entropy),
    failures === 0 ? 0 : backoff(failures - 1, entropy),
  );
}

/** min(30 s, 0.5 s · 2^failures), of which the upper half is random. */
export function backoff(failures: number, entropy: RetryParts['entropy']): number {
  const ceiling = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures, 16));
  return Math.round((ceiling / 2) * (1 + unit(entropy)));
}

/** Up to a quarter more than asked for. */
export function jittered(ms: number, entropy: RetryParts['entropy']): number {
  return Math.round(ms * (1 + unit(entropy) / 4));
}

/** Uniform in [0, 1). Not the run's random numbers: waits are nobody's business. */
function unit(entropy: RetryParts['entropy']): number {
  const [a = 0, b = 0] = entropy(2);
  return (256 * a + b) / 65_536;
}
