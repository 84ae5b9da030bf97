/** What can go wrong between a client and its coordinator, and what each of it means: try again, correct, or give up. */

import { HeadwaterError, messageOf } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import type { WireErrorBody } from '../federation/wire/messages.ts';

/** No answer, or one that no coordinator gave (a proxy's page, half a body): the request may have been carried out. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered';
}

/** The coordinator said no. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly status: number;
  readonly answer: WireErrorBody['error'];

  constructor(status: number, answer: WireErrorBody['error']) {
    super(answer.message);
    this.status = status;
    this.answer = answer;
  }
}

/** What else a network throws (refused, reset, timed out). A HeadwaterError stays: it knows that trying again is useless. */
export function asFailure(cause: unknown): Error {
  if (cause instanceof HeadwaterError || cause instanceof Refused || cause instanceof Unanswered)
    return cause;
  return new Unanswered(messageOf(cause), { cause });
}

/** As the user sees it. */
export function asUserError(failure: Error): Error {
  if (!(failure instanceof Refused)) return failure;
  const { message, hint } = failure.answer;
  const code =
    failure.status === 401 || failure.status === 403 ? 'JOIN_REFUSED' : ('REQUEST_REFUSED' as const);
  return new HeadwaterError(code, `the coordinator refused: ${printable(message)}`, {
    ...(hint === undefined ? {} : { hint: printable(hint) }),
    cause: failure,
  });
}

/** The coordinator's code behind an error that `asUserError` made; undefined for any other error. */
export function refusalCode(error: unknown): string | undefined {
  const cause = error instanceof HeadwaterError ? error.cause : undefined;
  return cause instanceof Refused ? cause.answer.code : undefined;
}

export function interrupted(): HeadwaterError {
  return new HeadwaterError('INTERRUPTED', 'the client was stopped; what it has done is kept', {
    hint: 'Continue with the same command.',
  });
}

export function notAsAgreed(what: string): HeadwaterError {
  return new HeadwaterError(
    'CONNECTION_FAILED',
    `the coordinator answered something else than asked: ${what}`,
    {
      hint: 'Its version may differ from this one, or something else answers at this address.',
    },
  );
}
