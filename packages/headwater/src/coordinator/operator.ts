/** What the operator of a coordinator can do: the admin API without HTTP. */

import { toBase64url } from '../base/base64url.ts';
import { digestJson } from '../base/canonical.ts';
import { HeadwaterError } from '../base/errors.ts';
import type { RunEvent } from '../federation/events.ts';
import { entryOf, type RunState } from '../federation/state.ts';
import { formatJoinToken } from '../federation/wire/join-token.ts';
import { name, PROTOCOL_VERSION } from '../federation/wire/messages.ts';
import { aboutRecipe } from '../recipe/about.ts';
import type { Json } from '../storage/journal.ts';
import { askLeader, type Command, carryOut } from './commands.ts';
import { statusOf } from './desk.ts';
import { recover } from './lead/recover.ts';
import { signManifest } from './operator-key.ts';
import type { ClientSummary, Operator, RunSummary, RunWorks } from './ports.ts';
import { changeRecord, listRecords, type RunRecord, readRecord } from './records.ts';
import type { HandlerContext } from './requests/calls.ts';
import { createToken } from './tokens.ts';

const SECRET_BYTES = 32;

/** `onCreated`: before anything is made for the run. */
export function createOperator(context: HandlerContext, onCreated: (run: string) => void): Operator {
  const { parts, operatorKey } = context;
  const { records } = parts.store;
  return {
    operatorKey: operatorKey.publicKey,
    async createRun(run, recipe) {
      const made = await createRun(context, run, recipe);
      if (made === undefined) return;
      onCreated(run);
      await context.leadership.find(run, made);
    },
    async runs() {
      const all = await listRecords(records, 'runs');
      return Promise.all(all.map(({ key, value }) => summaryOf(context, key, value)));
    },
    summary: async (run) => summaryOf(context, run, await recordOf(context, run)),
    recipe: async (run) => (await recordOf(context, run)).recipe,
    state: (run) => stateOf(context, run),
    events: (run, afterSeq, limit) => eventsOf(context, run, afterSeq, limit),
    manifest: async (run) => (await recordOf(context, run)).manifest,
    async log(run, afterSeq, limit) {
      await recordOf(context, run);
      return context.logs.page(run, afterSeq, limit);
    },
    pause: (run, reason) => steer(context, run, { type: 'pause', reason }),
    resume: (run) => steer(context, run, { type: 'resume' }),
    stop: (run, reason) => steer(context, run, { type: 'stop', reason }),
    cancel: (run, reason) => steer(context, run, { type: 'cancel', reason }),
    async createToken({ run, owner, uses, ttlMs }) {
      await recordOf(context, run);
      if (owner !== null && !name.safeParse(owner).success) throw badName('owner', owner);
      const secret = parts.entropy(SECRET_BYTES);
      const expiresMs = parts.clock.nowMs() + ttlMs;
      const id = await createToken(records, secret, { run, owner, usesLeft: uses, expiresMs });
      parts.log.info('token-created', { run, owner, id, uses, expiresMs });
      return { id, text: formatJoinToken(secret, operatorKey.publicKey) };
    },
    async tokens(run) {
      const all = await listRecords(records, 'tokens');
      return all
        .filter(({ value }) => value.run === run && !value.revoked)
        .map(({ key, value: { owner, usesLeft, expiresMs } }) => ({
          id: key,
          run,
          owner,
          usesLeft,
          expiresMs,
        }));
    },
    async revokeToken(id) {
      const changed = await changeRecord(
        records,
        'tokens',
        id,
        (token) => token && { ...token, revoked: true },
      );
      if (changed === undefined) throw notFound(`no token has the id ${id}`);
    },
    clients: (run) => clientsOf(context, run),
    revokeClient: (clientId) => revokeClient(context, clientId),
    pardon: (run, owner) => steer(context, run, { type: 'pardon', owner }),
  };
}

/** Undefined: it was there. */
async function createRun(
  { parts, operatorKey }: HandlerContext,
  run: string,
  recipe: unknown,
): Promise<RunWorks | undefined> {
  const { records } = parts.store;
  if (!name.safeParse(run).success) throw badName('run', run);
  const recipeDigest = digestJson(recipe);
  const known = await readRecord(records, 'runs', run);
  if (known !== undefined) {
    checkSameRecipe(run, known, recipeDigest);
    return undefined;
  }
  const works = await parts.openWorks(run, recipe);
  const manifest = await signManifest(operatorKey, { protocol: PROTOCOL_VERSION, run, ...works.manifest });
  const record: RunRecord = {
    createdMs: parts.clock.nowMs(),
    recipe: recipe as Json,
    recipeDigest,
    manifest,
    over: null,
    paused: null,
  };
  if ((await records.put('runs', run, record as unknown as Json, 0)) === undefined) {
    await works.close();
    throw new HeadwaterError('RUN_EXISTS', `the run "${run}" was created by somebody else just now`);
  }
  parts.log.info('run-created', { run });
  return works;
}

function checkSameRecipe(run: string, { recipeDigest }: RunRecord, digest: string): void {
  if (recipeDigest === digest) return;
  throw new HeadwaterError('RUN_EXISTS', `a run "${run}" with another recipe is in this store`, {
    hint: 'Give the changed recipe another name, or serve it with another --store.',
  });
}

async function recordOf({ parts }: HandlerContext, run: string): Promise<RunRecord> {
  const record = await readRecord(parts.store.records, 'runs', run);
  if (record === undefined) throw notFound(`there is no run "${run}"`);
  return record;
}

/** Done by whoever leads the run. Throws RUN_NOT_FOUND, RUN_LOCKED when nobody does, and what the doing throws. */
async function steer(context: HandlerContext, run: string, command: Command): Promise<void> {
  const { store, timers, entropy } = context.parts;
  const found = await context.leadership.find(run);
  switch (found.kind) {
    case 'led':
      return carryOut(found.led, command);
    case 'elsewhere':
      return askLeader(store, timers, run, toBase64url(entropy(12)), command);
    case 'unknown':
      throw notFound(`there is no run "${run}"`);
    case 'hindered':
      throw new HeadwaterError('RUN_LOCKED', `nobody leads the run "${run}" at present: ${found.reason}`, {
        hint: 'Try again in a few seconds.',
      });
  }
}

async function summaryOf(context: HandlerContext, run: string, record: RunRecord): Promise<RunSummary> {
  const found = await context.leadership.find(run);
  const led = found.kind === 'led' ? found.led : undefined;
  const state = led?.state ?? (await stateOf(context, run));
  return {
    run,
    status: led?.status() ?? statusOf(state, record),
    round: state?.open?.round ?? state?.closed.length ?? 0,
    rounds: state?.plan.rounds ?? 0,
    owners: state === undefined ? await enrolled(context, run) : Object.keys(state.roster).length,
    reason: found.kind === 'hindered' ? found.reason : (led?.reason() ?? reasonOf(state, record)),
    createdMs: record.createdMs,
    about: aboutRecipe(record.recipe),
  };
}

async function enrolled({ parts }: HandlerContext, run: string): Promise<number> {
  return (await listRecords(parts.store.records, 'enrolments', `${run}/`)).length;
}

function reasonOf(state: RunState | undefined, record: RunRecord): string | null {
  return state?.failure ?? state?.paused ?? record.over?.reason ?? record.paused;
}

/** Also of a run that another process leads: from the journal. */
async function stateOf(context: HandlerContext, run: string) {
  const found = await context.leadership.find(run);
  if (found.kind === 'unknown') throw notFound(`there is no run "${run}"`);
  if (found.kind === 'led') return found.led.state;
  const journal = await context.parts.store.journals.open(run);
  try {
    return (await recover(journal, context.machine)).state;
  } finally {
    await journal.close();
  }
}

async function eventsOf({ parts }: HandlerContext, run: string, afterSeq: number, limit?: number) {
  const journal = await parts.store.journals.open(run);
  try {
    const entries = (await journal.readAfter(afterSeq)).slice(0, limit);
    return entries.map(({ seq, event }) => ({ seq, event: event as unknown as RunEvent }));
  } finally {
    await journal.close();
  }
}

/** Also of a run that another process leads: from the records; when its clients were heard is known there alone. */
async function clientsOf(context: HandlerContext, run: string): Promise<ClientSummary[]> {
  const state = await stateOf(context, run);
  const found = await context.leadership.find(run);
  const led = found.kind === 'led' ? found.led : undefined;
  const stored = async () => listRecords(context.parts.store.records, 'clients', `${run}/`);
  const clients = led?.members.all() ?? (await stored()).map(({ value }) => value);
  return clients.map((client) => {
    const entry = entryOf(state?.roster ?? {}, client.owner);
    return {
      clientId: client.clientId,
      run,
      owner: client.owner,
      joinedMs: client.joinedMs,
      lastSeenMs: led?.lastSeenMs.get(client.clientId) ?? null,
      revoked: client.revoked !== null,
      standing: entry?.standing ?? 'waiting',
      offences: entry?.offences ?? 0,
      software: client.software,
    };
  });
}

/** In every run that it joined. */
async function revokeClient(context: HandlerContext, clientId: string): Promise<void> {
  const { records } = context.parts.store;
  let known = false;
  for (const { key: run } of await listRecords(records, 'runs')) {
    if ((await readRecord(records, 'clients', `${run}/${clientId}`)) === undefined) continue;
    known = true;
    await steer(context, run, { type: 'revoke-client', clientId });
  }
  if (!known) throw notFound(`no client has the id ${clientId}`);
}

function notFound(message: string): HeadwaterError {
  return new HeadwaterError('RUN_NOT_FOUND', message, { hint: '`headwater runs` lists the runs.' });
}

function badName(what: string, text: string): HeadwaterError {
  return new HeadwaterError('OPTION_INVALID', `"${text.slice(0, 80)}" is no name for a ${what}`, {
    hint: 'Lower-case letters, digits, dots and dashes; at most 63.',
  });
}
