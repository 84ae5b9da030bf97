/**
 * A client's eye on the transparency log: at every session the log must extend the one seen before, every accepted update of this
 * client must be in it, and so must all params that it is given. Where that is not so the client stops, with the proof kept.
 */

import { sleep } from '../base/clock.ts';
import { HeadwaterError } from '../base/errors.ts';
import { entryHash, parseEntry } from '../federation/log/entry.ts';
import { hashesOf, headOf, isSignedHead } from '../federation/log/head.ts';
import { verifyConsistency, verifyInclusion } from '../federation/log/proofs.ts';
import type { Public } from '../federation/log/public-part.ts';
import type { LogAnswer } from '../federation/wire/messages.ts';
import type { Identity } from './identity.ts';
import { loadSeen, type SeenLog, saveEvidence, saveSeen } from './log-memory.ts';
import { backoff } from './retry.ts';
import { ask, type Session } from './session.ts';

export interface LogWatch {
  /** Before its receipt is forgotten. */
  accepted(round: number, update: string): Promise<void>;
  /** Asks for the entries of all accepted updates that were not seen in the log yet. */
  proveUpdates(): Promise<void>;
  /** That these params were released, or are those that the run begins from. */
  proveParams(digest: string): Promise<void>;
}

type Wanted = { readonly update: string } | { readonly params: string };
type PublicEvent = { readonly [key: string]: Public };

/** A process that does not lead any more may know less than what was seen; it gives way within seconds. */
const SHORTER_TRIES = 6;

/** Checks the head against the one seen last. Throws LOG_FORKED, STORAGE_FAILED and what asking throws. */
export async function openLogWatch(
  session: Session,
  { operatorKey, owner }: Pick<Identity, 'operatorKey' | 'owner'>,
): Promise<LogWatch> {
  const { parts, run } = session;
  const { store } = parts;
  let seen = await loadSeen(store);
  let proven: string | undefined;

  async function remember(change: Partial<SeenLog>): Promise<void> {
    seen = { ...seen, ...change };
    await saveSeen(store, seen);
  }

  async function checkExtends({ head: got, consistency }: LogAnswer): Promise<void> {
    const before = seen.head;
    if (before === null || verifyConsistency(headOf(before), headOf(got), hashesOf(consistency))) return;
    await saveEvidence(store, run, { seen: before, got }, consistency);
    const what =
      got.size < before.size
        ? `it has ${got.size} entries, and had ${before.size} before`
        : `its ${got.size} entries do not begin with the ${before.size} that were seen before`;
    throw forked(run, what);
  }

  /** The head that the log has now, which extends the one seen before, and with it what was asked for. */
  async function checked(wanted?: Wanted): Promise<LogAnswer['entry']> {
    const since = seen.head?.size ?? 0;
    for (let tries = 1; ; tries++) {
      const answer = await ask(session, 'log', { query: { since, ...wanted } });
      const { head, entry } = answer;
      if (!(await isSignedHead(head, run, operatorKey, parts.verify)))
        throw forked(run, 'its head is not signed by the operator of this run');
      if (head.size >= since || tries === SHORTER_TRIES) {
        await checkExtends(answer);
        if (head.size !== since || seen.head === null) await remember({ head });
        return entry;
      }
      await sleep(parts.timers, backoff(tries, parts.entropy), session.signal);
    }
  }

  async function prove(wanted: Wanted, what: string, fits: (event: PublicEvent) => boolean): Promise<void> {
    const entry = await checked(wanted);
    const found = entry === null ? undefined : parseEntry(entry.text);
    const isIn =
      entry !== null &&
      found?.seq === entry.index + 1 &&
      verifyInclusion(entryHash(entry.text), entry.index, hashesOf(entry.path), headOf(seen.head!));
    if (!isIn || !fits(found!.event)) throw forked(run, `${what} is not in it`);
  }

  const watch: LogWatch = {
    accepted: (round, update) => remember({ unproven: [...seen.unproven, { round, update }] }),
    async proveUpdates() {
      for (const { round, update } of seen.unproven) {
        await prove(
          { update },
          `the update that this client handed in for round ${round}, and has a receipt for,`,
          (event) =>
            event.type === 'update-received' &&
            event.owner === owner &&
            event.update === update &&
            event.round === round &&
            event.counted === true,
        );
        await remember({ unproven: seen.unproven.filter((other) => other.update !== update) });
      }
    },
    async proveParams(params) {
      if (proven === params) return;
      await prove({ params }, `the release ${params.slice(0, 12)}… that this client was given`, (event) =>
        event.type === 'created' ? event.initialParams === params : event.params === params,
      );
      proven = params;
    },
  };
  await checked();
  await watch.proveUpdates();
  return watch;
}

function forked(run: string, what: string): HeadwaterError {
  return new HeadwaterError(
    'LOG_FORKED',
    `the log of the run "${run}" is not the one that it should be: ${what}. Nothing further is sent.`,
    {
      hint: 'Ask the operator before you go on, and compare with other owners (headwater audit log). If it restored a backup and you believe it, start once with --forget-log.',
    },
  );
}
