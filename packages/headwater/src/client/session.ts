/** What every step of a joined client works with: its parts, its signed calls, the run, and how it is stopped. */

import type { AnswerOf, JsonRoute } from './api.ts';
import type { Caller, CallInput } from './call.ts';
import type { ClientParts } from './ports.ts';
import { persist } from './retry.ts';

export interface Session {
  readonly parts: ClientParts;
  readonly caller: Caller;
  readonly run: string;
  readonly signal: AbortSignal;
}

/** A JSON call of the run, repeated until it is answered. Throws what `persist` throws. */
export function ask<R extends JsonRoute>(
  { parts, caller, run, signal }: Session,
  route: R,
  input: Omit<CallInput<R>, 'params'>,
): Promise<AnswerOf<R>> {
  const whole = { ...input, params: { run } } as unknown as CallInput<R>;
  return persist(parts, signal, () => caller.json(route, whole, signal));
}
