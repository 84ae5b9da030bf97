/**
 * The life of a client: join, say how much data there is, and do what the coordinator asks for until the run is over. Every
 * step can be repeated, so that a client may die at any moment and go on; what it needs of the world are its parts.
 */

import { toBase64url } from '../base/base64url.ts';
import { sleep } from '../base/clock.ts';
import { HeadwaterError } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import { type Caller, createCaller } from './call.ts';
import { deliver } from './deliver.ts';
import { blobFetcher, memorySink } from './download.ts';
import { openExampleLedger } from './example-ledger.ts';
import { interrupted, notAsAgreed } from './failures.ts';
import { enter, type Identity, type JoinOptions } from './identity.ts';
import { openLogWatch } from './log-watch.ts';
import { maskingWords } from './masking.ts';
import { openMemory } from './memory.ts';
import type { ClientParts, FetchBlob, Trainer } from './ports.ts';
import { backoff } from './retry.ts';
import { openSecureMemory } from './secure-memory.ts';
import { resumeSecureRound } from './secure-round.ts';
import { ask, type Session } from './session.ts';
import { nextTask, type Over } from './tasks.ts';
import { type Desk, evaluateTask, trainTask } from './work.ts';

export type RunClientOptions = JoinOptions;

export interface ClientOutcome {
  readonly run: string;
  readonly owner: string;
  readonly status: Over['status'];
  readonly reason: string | null;
  /** Where the result lies, once published. */
  readonly result: Over['result'];
}

/**
 * Resolves when the run is over. Throws JOIN_REFUSED, POLICY_REFUSED, REQUEST_REFUSED, CONNECTION_FAILED (something that is
 * no coordinator answers), INTERRUPTED (the signal), and what store and trainer throw. An unreachable coordinator is waited
 * for.
 */
export async function runClient(parts: ClientParts, options: RunClientOptions): Promise<ClientOutcome> {
  const identity = await enter(parts, options);
  const { run, owner, manifest } = identity;
  parts.onEvent({ type: 'joined', run, owner });
  const words = maskingWords(manifest);
  const publicKey = toBase64url(identity.signer.publicKey);
  if (words !== undefined) parts.onEvent({ type: 'masked', words: printable(words), publicKey });
  const caller = createCaller(parts, identity.signer);
  const session: Session = { parts, caller, run, signal: options.signal };
  const memory = await openMemory(parts, identity.returning);
  if (memory.lost) parts.onEvent({ type: 'lost-state' });
  const watch = await openLogWatch(session, identity);
  const fetchBlob = fetcherOf(session);
  const trainer = await parts.openTrainer(manifest, owner, fetchBlob);
  try {
    const { status, reason, result } = await work(session, identity, { memory, trainer, fetchBlob, watch });
    if (result !== null) {
      await watch.proveParams(result.digest);
      await handOver(parts, trainer, fetchBlob, result);
    }
    return { run, owner, status, reason, result };
  } finally {
    await trainer.close();
  }
}

function fetcherOf({ parts, caller, run, signal }: Session): FetchBlob {
  const bytes: Caller['bytes'] = caller.bytes;
  return blobFetcher(
    parts,
    (digest, headers, inner) => bytes('blob', { params: { run, digest }, headers }, inner),
    signal,
  );
}

async function work(
  session: Session,
  identity: Identity,
  tools: Pick<Desk, 'memory' | 'trainer' | 'fetchBlob' | 'watch'>,
): Promise<Over> {
  const { manifest } = identity;
  const { memory, trainer, watch } = tools;
  const ledger = once((round: number) => openExampleLedger(session.parts.store, memory.lost ? round - 1 : 0));
  const secure = openSecureMemory(session.parts);
  const desk: Desk = {
    session,
    identity,
    manifest,
    ...tools,
    secure,
    ledger,
    last: undefined,
    rest: undefined,
  };
  await enrol(session, trainer, memory.lost);
  await resumeSecureRound(desk);
  const left = memory.pending;
  if (left !== undefined) await deliver(session, memory, manifest.model.digest, left, true, watch);
  const patience = createPatience(session);
  for (;;) {
    const next = await nextTask(session);
    if (next.kind === 'over') {
      session.parts.onEvent({ type: 'over', status: next.status, reason: next.reason });
      return next;
    }
    await patience(next.task.id);
    session.parts.onEvent({ type: 'task', task: next.task });
    if (next.task.kind === 'train') await trainTask(desk, next.task);
    else await evaluateTask(desk, next.task);
  }
}

function once<A, T>(open: (argument: A) => Promise<T>): (argument: A) => Promise<T> {
  let opened: Promise<T> | undefined;
  return (argument) => {
    opened ??= open(argument);
    return opened;
  };
}

async function handOver(
  { onResult, hasher }: ClientParts,
  trainer: Trainer,
  fetchBlob: FetchBlob,
  result: NonNullable<Over['result']>,
): Promise<void> {
  if (onResult === undefined) return;
  if (result.bytes > trainer.maxParamsBytes) throw notAsAgreed(`a result of ${result.bytes} bytes`);
  const sink = memorySink(result.bytes, hasher);
  await fetchBlob(result, sink);
  await onResult(sink.whole());
}

/** A task that is given again and again is not done in a hot loop. */
function createPatience({ parts, signal }: Session): (taskId: string) => Promise<void> {
  let last = '';
  let times = 0;
  return async (taskId) => {
    times = taskId === last ? times + 1 : 0;
    last = taskId;
    if (times > 0) await sleep(parts.timers, backoff(times - 1, parts.entropy), signal);
    if (signal.aborted) throw interrupted();
  };
}

async function enrol(session: Session, trainer: Trainer, lostState: boolean): Promise<void> {
  const { standing } = await ask(session, 'enrol', { body: { ...trainer.counts, lostState } });
  if (standing === 'quarantined')
    throw new HeadwaterError(
      'JOIN_REFUSED',
      'the coordinator has excluded this client after too many unusable updates',
      {
        hint: 'Ask the operator: `headwater clients` shows why, and can lift it.',
      },
    );
}
