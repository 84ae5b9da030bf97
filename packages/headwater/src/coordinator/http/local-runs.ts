/**
 * Run folders of this machine as a source of pages: the run that is shown and those beside it, to compare with. Journals are
 * opened for reading while `headwater run` writes them. Nothing is written here.
 */

import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { parse } from 'yaml';
import { type Clock, sleep, type Timers } from '../../base/clock.ts';
import { HeadwaterError } from '../../base/errors.ts';
import type { RunEvent } from '../../federation/events.ts';
import { name } from '../../federation/wire/messages.ts';
import { aboutRecipe } from '../../recipe/about.ts';
import { runPaths } from '../../runs/run-folder.ts';
import { upgraded } from '../../runs/upgrade.ts';
import { createRunFold, type RunFold } from '../../runs/view/fold.ts';
import type { Journal } from '../../storage/journal.ts';
import { openSqliteJournal } from '../../storage/sqlite-journal.ts';
import type { RunSummary } from '../ports.ts';
import type { RunSource } from './run-source.ts';

export interface LocalRuns extends RunSource {
  /** What the shown run is called. */
  readonly shown: string;
  close(): Promise<void>;
}

interface LocalRun {
  readonly folder: string;
  readonly journal: Journal;
  readonly fold: RunFold;
}

const LOOK_MS = 400;
/** A run beside the shown one that was not finished and of which nothing was heard for so long is not at work. */
const SILENT_MS = 600_000;

export function openLocalRuns(
  folder: string,
  { clock, timers }: { readonly clock: Clock; readonly timers: Timers },
): LocalRuns {
  const shown = nameOf(folder);
  const opened = new Map<string, LocalRun>();

  function folders(): Map<string, string> {
    const beside = readdirSync(dirname(folder), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && name.safeParse(entry.name).success)
      .map((entry) => join(dirname(folder), entry.name))
      .filter((other) => existsSync(runPaths(other).journal));
    return new Map([...beside.map((other): [string, string] => [nameOf(other), other]), [shown, folder]]);
  }

  function open(run: string): LocalRun {
    const known = opened.get(run);
    if (known !== undefined) return known;
    const found = folders().get(run);
    if (found === undefined) throw new HeadwaterError('RUN_NOT_FOUND', `there is no run "${run}" here`);
    const journal = openSqliteJournal(runPaths(found).journal, { readOnly: true });
    const local = { folder: found, journal, fold: createRunFold() };
    opened.set(run, local);
    return local;
  }

  async function eventsOf(run: string, afterSeq: number, limit?: number) {
    const entries = (await open(run).journal.readAfter(afterSeq)).slice(0, limit);
    return entries.map(({ seq, event }) => ({ seq, event: upgraded(event) as RunEvent }));
  }

  async function summary(run: string): Promise<RunSummary> {
    const { fold } = open(run);
    for (const { seq, event } of await eventsOf(run, fold.seq)) fold.add(seq, event);
    const { frame, totals, owners, rounds } = fold.changesAfter(0);
    const silent = run !== shown && clock.nowMs() - (totals?.lastMs ?? 0) > SILENT_MS;
    const given = totals?.status === 'running' && silent;
    return {
      run,
      status: given ? 'paused' : (totals?.status ?? 'waiting'),
      round: rounds.at(-1)?.round ?? 0,
      rounds: frame?.rounds ?? 0,
      owners: owners.length,
      reason: given ? 'it was interrupted; headwater run --resume continues it' : (totals?.failure ?? null),
      createdMs: frame?.startedMs ?? 0,
      about: aboutRecipe(await recipeOf(open(run).folder)),
    };
  }

  return {
    kind: 'local',
    clientUrl: null,
    shown,
    async runs() {
      const all = await Promise.all([...folders().keys()].map((run) => summary(run).catch(() => undefined)));
      return all.filter((item) => item !== undefined).sort((a, b) => b.createdMs - a.createdMs);
    },
    summary,
    recipe: (run) => recipeOf(open(run).folder),
    events: eventsOf,
    clients: async () => [],
    resultFolder: (run) => open(run).folder,
    changed: (_run, signal) => sleep(timers, LOOK_MS, signal),
    async close() {
      for (const { journal } of opened.values()) await journal.close();
      opened.clear();
    },
  };
}

/** A folder may be called anything; in addresses of pages names are plain. */
function nameOf(folder: string): string {
  const given = basename(folder);
  return name.safeParse(given).success ? given : 'run';
}

async function recipeOf(folder: string): Promise<unknown> {
  return parse(await readFile(runPaths(folder).recipe, 'utf8'));
}
