/**
 * Where a whole transparency log comes from: a run folder, a coordinator at work, its store while nobody serves it, or a file that
 * this command wrote before. It judges nothing.
 */

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { fromBase64url } from '../../base/base64url.ts';
import { HeadwaterError } from '../../base/errors.ts';
import { openKnownStore } from '../../coordinator/known-store.ts';
import type { LogPage } from '../../coordinator/ports.ts';
import { createRunLogs } from '../../coordinator/run-logs.ts';
import { storePaths } from '../../coordinator/store-folder.ts';
import type { RunEvent } from '../../federation/events.ts';
import type { WholeLog } from '../../federation/log/audit.ts';
import { entryText } from '../../federation/log/entry.ts';
import { publicKey, signedHead } from '../../federation/wire/messages.ts';
import { runPaths } from '../../runs/run-folder.ts';
import { openSqliteJournal } from '../../storage/sqlite-journal.ts';
import { type AdminOptions, openAdmin } from '../admin-client.ts';

export interface FoundLog extends Omit<WholeLog, 'seen'> {
  /** The journal itself, where it is there to be replayed. */
  readonly events: readonly RunEvent[] | undefined;
}

/** `target`: a run folder, a file, a run's name, or the admin address of a coordinator with the run's name as `run`. */
export async function findLog(
  target: string,
  run: string | undefined,
  options: AdminOptions,
): Promise<FoundLog> {
  if (/^https?:\/\//.test(target)) return atCoordinator(named(run), { ...options, coordinator: target });
  if (existsSync(runPaths(target).journal)) return inRunFolder(target);
  if (target.endsWith('.jsonl')) return inFile(target);
  return inStore(target, options);
}

function named(run: string | undefined): string {
  if (run !== undefined) return run;
  throw new HeadwaterError('OPTION_INVALID', 'which run of this coordinator?', {
    hint: 'headwater audit log http://127.0.0.1:8421 RUN, with the admin token in HEADWATER_ADMIN_TOKEN.',
  });
}

/** Also while it is being written; damage is found by the chain of the journal. */
async function inRunFolder(folder: string): Promise<FoundLog> {
  const journal = openSqliteJournal(runPaths(folder).journal, { readOnly: true });
  try {
    const events = (await journal.readAll()).map(({ event }) => event as unknown as RunEvent);
    const texts = events.map((event, i) => entryText(i + 1, event, undefined, ''));
    return { run: folder, texts, signed: undefined, events };
  } finally {
    await journal.close();
  }
}

async function inStore(run: string, options: AdminOptions): Promise<FoundLog> {
  const live = await openAdmin(options)
    .then((admin) => admin.get(`/about`).then(() => true))
    .catch((error: unknown) => {
      if (
        error instanceof HeadwaterError &&
        (error.code === 'CONNECTION_FAILED' || error.code === 'RUN_NOT_FOUND')
      )
        return false;
      throw error;
    });
  if (live) return atCoordinator(run, options);
  if (!options.store.includes('://') && !existsSync(storePaths(options.store).database))
    throw new HeadwaterError('RUN_NOT_FOUND', 'this is no run folder, and no coordinator has such a run', {
      where: run,
      hint: 'Give a run folder, a .jsonl file of this command, or the name of a run with --store.',
    });
  return inClosedStore(run, options.store);
}

async function inClosedStore(run: string, place: string): Promise<FoundLog> {
  const { name, store, key, close } = await openKnownStore(place);
  try {
    if (!(await store.journals.list()).includes(run))
      throw new HeadwaterError('RUN_NOT_FOUND', `there is no run "${run}" in this store`, { where: name });
    const page = await createRunLogs(store.journals, key).page(run, 0, Number.POSITIVE_INFINITY);
    const journal = await store.journals.open(run);
    const events = (await journal.readAll()).map(({ event }) => event as unknown as RunEvent);
    await journal.close();
    return {
      run,
      texts: page.entries.map(({ text }) => text),
      signed: { head: page.head, operatorKey: key.publicKey },
      events,
    };
  } finally {
    await close();
  }
}

interface AdminPage extends LogPage {
  readonly operatorKey: string;
}

async function atCoordinator(run: string, options: AdminOptions): Promise<FoundLog> {
  const admin = await openAdmin(options);
  const texts: string[] = [];
  for (;;) {
    const page = await admin.get<AdminPage>(`/runs/${run}/log?after=${texts.length}&limit=5000`);
    texts.push(...page.entries.map(({ text }) => text));
    if (page.entries.length > 0 && texts.length < page.head.size) continue;
    const operatorKey = fromBase64url(page.operatorKey) ?? new Uint8Array();
    const { events } = await admin.get<{ events: readonly { event: RunEvent }[] }>(`/runs/${run}/events`);
    const seen = events.slice(0, page.head.size).map(({ event }) => event);
    return { run, texts, signed: { head: page.head, operatorKey }, events: seen };
  }
}

const exported = z.strictObject({
  run: z.string(),
  operatorKey: publicKey.nullable(),
  head: signedHead.extend({ signature: z.string() }),
});

export function exportText({ run, texts, signed }: FoundLog, root: string): string {
  const head = signed?.head ?? { size: texts.length, root, signature: '' };
  const operatorKey = signed === undefined ? null : Buffer.from(signed.operatorKey).toString('base64url');
  return `${[JSON.stringify({ run, operatorKey, head }), ...texts].join('\n')}\n`;
}

async function inFile(file: string): Promise<FoundLog> {
  const [first = '', ...texts] = (await readFile(file, 'utf8')).replace(/\n$/, '').split('\n');
  const parsed = exported.safeParse(jsonOf(first));
  if (!parsed.success)
    throw new HeadwaterError('RUN_NOT_FOUND', 'this is no log that headwater audit log --export wrote', {
      where: file,
    });
  const { run, head, operatorKey } = parsed.data;
  const key = operatorKey === null ? undefined : fromBase64url(operatorKey);
  return { run, texts, signed: key && { head, operatorKey: key }, events: undefined };
}

/** The head in the state folder of a client, or in a file that holds one. Throws OPTION_INVALID. */
export async function seenHead(place: string) {
  const file = existsSync(join(place, 'log.bin')) ? join(place, 'log.bin') : place;
  const value = jsonOf(await readFile(file, 'utf8').catch(() => '')) as { head?: unknown } | undefined;
  const parsed = signedHead.safeParse(value?.head ?? value);
  if (parsed.success) return { from: place, head: parsed.data };
  throw new HeadwaterError('OPTION_INVALID', 'no head of a log was found here', {
    where: place,
    hint: 'Give the state folder of a client, or a file with size, root and signature as JSON.',
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
