/**
 * What masks promise: of one attempt one set of updates at most is opened, it is the set that is committed, and nobody gives away both
 * kinds of shares of one owner, which together would open its update.
 */

import type { Member, RunEvent } from '../../src/federation/events.ts';
import type { UnmaskOrderMessage } from '../../src/federation/wire/helper.ts';
import { routes } from '../../src/federation/wire/routes.ts';
import {
  type SecureRoundAnswer,
  type SecureRoundRequest,
  type SecureTold,
  secureRoundAnswer,
} from '../../src/federation/wire/secure-rounds.ts';
import type { WireRequest } from '../../src/federation/wire/transport.ts';
import type { Answered } from '../network.ts';
import type { Report } from './violation.ts';

export interface MaskWatch {
  durable(event: RunEvent): void;
  committed(round: number, members: readonly Member[]): void;
  /** A request that leaves a client. */
  sent(client: string, request: WireRequest): void;
  /** An answer that leaves a coordinator. */
  answered(answer: Answered): void;
  /** The helper opens a sum. */
  helped(order: UnmaskOrderMessage): void;
  /** The owner's folder is gone, and with it what it knows of the rounds before. */
  lost(owner: string): void;
  /** Of an abandoned attempt, or what a helper could not open: it cannot be counted. */
  isVoid(owner: string, update: string): boolean;
}

type Kind = 'seeds' | 'keys';

export function watchMasks(report: Report): MaskWatch {
  const isSecureRound = new RegExp(`^${routes.secureRound.path.replace(':run', '[^/]+')}$`);
  /** By round: owners whose sum was asked for or opened, by attempt. */
  const opened = new Map<number, Map<number, string>>();
  /** By round, attempt and owner. */
  const given = new Map<string, Kind>();
  /** By client and round. */
  const helpedIn = new Map<string, number>();
  /** By owner and update. */
  const attempts = new Map<string, string>();
  const abandoned = new Set<string>();
  /** The last update of each owner, and those whose masks nobody could take away. */
  const latest = new Map<string, string>();
  const unopened = new Set<string>();

  function open(round: number, attempt: number, owners: readonly string[]): void {
    const known = opened.get(round) ?? new Map<number, string>();
    opened.set(round, known);
    const set = owners.join(' ');
    const before = known.get(attempt) ?? set;
    if (before !== set)
      report(
        'masks',
        `in attempt ${attempt} of round ${round} the sums of ${before} and of ${set} are opened`,
      );
    known.set(attempt, set);
  }

  function give(client: string, { round, said }: SecureRoundRequest): void {
    if (said?.what.step !== 'unmask') return;
    const { attempt, what } = said;
    const before = helpedIn.get(`${client} ${round}`) ?? attempt;
    if (before !== attempt)
      report('masks', `"${client}" helps to open attempts ${before} and ${attempt} of round ${round}`);
    helpedIn.set(`${client} ${round}`, attempt);
    for (const kind of ['seeds', 'keys'] as const)
      for (const { of } of what.message[kind]) {
        const key = `${round}.${attempt} ${of}`;
        const other = given.get(key) ?? kind;
        if (other !== kind)
          report('masks', `both kinds of shares of "${of}" are given in round ${round}.${attempt}`);
        given.set(key, kind);
      }
  }

  return {
    durable(event) {
      if (event.type === 'attempt-abandoned') abandoned.add(`${event.round}.${event.attempt}`);
      if (event.type === 'unmasking-failed')
        for (const owner of event.blamed) unopened.add(`${owner} ${latest.get(owner)}`);
      if (event.type === 'update-received' && event.masked !== undefined) {
        attempts.set(`${event.owner} ${event.update}`, `${event.round}.${event.masked.attempt}`);
        latest.set(event.owner, event.update);
      }
    },
    committed(round, members) {
      const masked = members.map(({ owner, update }) => attempts.get(`${owner} ${update}`));
      const [first] = masked;
      if (masked.every((attempt) => attempt === undefined)) return;
      if (first === undefined || masked.some((attempt) => attempt !== first) || abandoned.has(first))
        report('masks', `round ${round} counts updates of attempts ${masked.join(', ')}`);
      const set = opened.get(round)?.get(Number(first?.split('.')[1]));
      const owners = members.map(({ owner }) => owner).join(' ');
      if (set !== owners) report('masks', `round ${round} counts ${owners}, opened was the sum of ${set}`);
    },
    sent(client, { path, body }) {
      if (!isSecureRound.test(path) || body === undefined || client === 'adversary') return;
      give(client, JSON.parse(Buffer.from(body).toString('utf8')) as SecureRoundRequest);
    },
    answered({ request, status, body }) {
      if (!isSecureRound.test(request.path) || status >= 300) return;
      const { attempt, told } = answerOf(body);
      const { round } = JSON.parse(Buffer.from(request.body!).toString('utf8')) as SecureRoundRequest;
      if (isConfirm(told)) open(round, attempt, told.survivors);
    },
    helped({ context, members }) {
      open(
        context.round,
        context.attempt,
        members.map(({ owner }) => owner),
      );
      if (opened.get(context.round)!.size > 1)
        report('masks', `the helper opens sums of two attempts of round ${context.round}`);
    },
    lost(owner) {
      for (const key of helpedIn.keys()) if (key.startsWith(`${owner} `)) helpedIn.delete(key);
    },
    isVoid(owner, update) {
      const attempt = attempts.get(`${owner} ${update}`);
      return unopened.has(`${owner} ${update}`) || (attempt !== undefined && abandoned.has(attempt));
    },
  };
}

function answerOf(body: Uint8Array): SecureRoundAnswer {
  return secureRoundAnswer.parse(JSON.parse(Buffer.from(body).toString('utf8')));
}

function isConfirm(told: SecureTold | null): told is Extract<SecureTold, { step: 'confirm' }> {
  return told?.step === 'confirm';
}
