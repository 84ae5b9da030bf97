/**
 * `npm run test:kill`: kill −9 of a coordinator or a client at every point of `points.ts`, on SQLite and on PostgreSQL. All
 * runs must finish with the bits of the uninterrupted one; where a client stays away, or the mode is buffered, with the bits
 * that their own journal demands. `--only TEXT`: rows whose name holds it.
 */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { renderTable } from '../../src/cli/style.ts';
import { NO_POSTGRES, type PostgresServer, startPostgres } from '../support/postgres.ts';
import { recomputed, remainsOf } from './check.ts';
import type { KillRecipe } from './model.ts';
import { type KillPoint, MASKED_POINTS, POINTS } from './points.ts';
import { deployedAdapter, simulatedAdapter } from './real.ts';
import { type Row, runRow } from './row.ts';

/** Rows wait for each other's processes more than they compute. */
const AT_ONCE = 4;
const scratch = mkdtempSync(join(tmpdir(), 'headwater-kill-'));
const [, only] = process.argv.slice(process.argv.indexOf('--only'));

interface Case {
  readonly name: string;
  readonly point?: KillPoint;
  readonly returns?: boolean;
  /** `golden`: the bits of the uninterrupted run; `journal`: those of its own journal. */
  readonly against: 'nothing' | 'golden' | 'journal';
  readonly change?: Partial<KillRecipe>;
}

interface Backend {
  readonly name: string;
  /** For the scripts: a SQLite file, or the address of a database. */
  newStore(folder: string): Promise<string>;
  /** It is not needed any more. */
  giveBack(store: string): Promise<void>;
  /** For `headwater serve`. */
  newPlace(folder: string): Promise<string>;
}

const REAL: Case = { name: 'serve and join with a real model, both killed', against: 'golden' };

const SMALL = { rows: 4 };
const MASKED = { ...SMALL, rounds: 2, masked: true } as const;
const LARGE = { rows: 4100, rounds: 2, owners: ['a', 'b'], cohortSize: 2, quorum: 2 };
const at = (name: string) => POINTS.find((point) => point.name === name)!;
const BUFFERED: Partial<KillRecipe> = {
  cohortSize: 2,
  quorum: 2,
  rounds: 5,
  pace: { mode: 'buffered', asked: 3, maxStaleness: 4, stalenessExponent: 0.5 },
};

const CASES: readonly Case[] = [
  ...POINTS.map(
    (point): Case => ({
      name: `${point.process}: ${point.name}`,
      point,
      against: 'golden',
      change: point.large ? LARGE : SMALL,
    }),
  ),
  ...MASKED_POINTS.map(
    (point): Case => ({
      name: `masked, ${point.process}: ${point.name}`,
      point,
      against: 'golden',
      change: MASKED,
    }),
  ),
  {
    name: 'a client never returns (deadline, quorum)',
    point: at('params downloaded'),
    returns: false,
    against: 'journal',
    change: { quorum: 2, pace: { deadlineMs: 1500, evaluationDeadlineMs: 1500 } },
  },
  {
    name: 'buffered mode, coordinator killed',
    point: at('committed, before anybody hears'),
    against: 'journal',
    change: BUFFERED,
  },
  { name: 'buffered mode, client killed', point: at('trained'), against: 'journal', change: BUFFERED },
];

interface Outcome {
  readonly case: Case;
  readonly backend: string;
  readonly tookMs: number;
  readonly events?: number;
  readonly failure?: string;
}

function recipeOf(folder: string, { change }: Case): KillRecipe {
  const owners = ['a', 'b', 'c'];
  const common = {
    seed: 7,
    rounds: 3,
    owners,
    cohortSize: 3,
    quorum: 3,
    pace: {},
    out: join(folder, 'result'),
  };
  return { ...common, ...SMALL, ...change };
}

let folders = 0;
async function play(backend: Backend, item: Case): Promise<{ row: Row; tookMs: number }> {
  const folder = join(scratch, String(++folders));
  mkdirSync(folder);
  const { point, returns = true, name } = item;
  const recipe = recipeOf(folder, item);
  const row = { name, point, returns, recipe, folder, store: await backend.newStore(folder) };
  const startedMs = performance.now();
  await runRow(row);
  return { row, tookMs: performance.now() - startedMs };
}

async function cleanUp(backend: Backend, { store, folder }: Row): Promise<void> {
  await backend.giveBack(store);
  rmSync(folder, { recursive: true });
}

/** The result of a run in which nobody is killed, the same on every backend. */
async function goldenOf(backends: readonly Backend[], change: Partial<KillRecipe>): Promise<string> {
  const results = new Set<string>();
  for (const backend of backends) {
    const { row } = await play(backend, { name: 'uninterrupted', against: 'nothing', change });
    const { result, events } = await remainsOf(row);
    // Behind masks nobody can look.
    if (row.recipe.masked !== true && (await recomputed(row.recipe, events)) !== result)
      throw new Error('the uninterrupted run is no replay');
    results.add(result);
    await cleanUp(backend, row);
  }
  if (results.size !== 1) throw new Error(`the backends disagree: ${[...results]}`);
  return [...results][0]!;
}

async function outcomeOf(backend: Backend, item: Case, golden: () => string): Promise<Outcome> {
  const about = { case: item, backend: backend.name };
  const startedMs = performance.now();
  try {
    const { row, tookMs } = await play(backend, item);
    const { result, events } = await remainsOf(row);
    const expected = item.against === 'golden' ? golden() : await recomputed(row.recipe, events);
    const failure = result === expected ? {} : { failure: `other bits: ${result} instead of ${expected}` };
    await cleanUp(backend, row);
    return { ...about, tookMs, events: events.length, ...failure };
  } catch (error) {
    return { ...about, tookMs: performance.now() - startedMs, failure: (error as Error).message };
  }
}

async function all(backends: readonly Backend[], cases: readonly Case[]): Promise<Outcome[]> {
  const goldens = new Map<Case['change'], string>();
  for (const change of [SMALL, MASKED, LARGE])
    if (cases.some((item) => item.change === change)) goldens.set(change, await goldenOf(backends, change));
  const waiting = cases.flatMap((item) => backends.map((backend) => ({ item, backend })));
  const outcomes: Outcome[] = [];
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { item, backend } = next;
      outcomes.push(await outcomeOf(backend, item, () => goldens.get(item.change)!));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return outcomes;
}

/** `headwater run` is what has to come out. */
async function realOutcomes(backends: readonly Backend[]): Promise<Outcome[]> {
  const folder = join(scratch, 'real');
  mkdirSync(folder);
  const expected = await simulatedAdapter(folder);
  // They wait for each other's restarts more than they compute.
  return Promise.all(backends.map((backend) => realOutcome(backend, join(folder, backend.name), expected)));
}

async function realOutcome(backend: Backend, folder: string, expected: string): Promise<Outcome> {
  const startedMs = performance.now();
  const about = () => ({ case: REAL, backend: backend.name, tookMs: performance.now() - startedMs });
  try {
    mkdirSync(folder);
    const result = await deployedAdapter(folder, await backend.newPlace(folder));
    if (result === expected) return about();
    return { ...about(), failure: `adapter ${result} instead of ${expected}` };
  } catch (error) {
    return { ...about(), failure: (error as Error).message };
  }
}

function report(cases: readonly Case[], backends: readonly Backend[], outcomes: readonly Outcome[]): void {
  const cell = (item: Case, backend: Backend) => {
    const found = outcomes.find((outcome) => outcome.case === item && outcome.backend === backend.name);
    return found?.failure === undefined ? `${(found!.tookMs / 1000).toFixed(1)} s` : 'FAILED';
  };
  const rows = cases.map((item) => [
    item.name,
    item === REAL ? 'headwater run' : item.against === 'golden' ? 'uninterrupted run' : 'own journal',
    ...backends.map((backend) => cell(item, backend)),
  ]);
  console.log(renderTable({ head: ['killed at', 'equals', ...backends.map(({ name }) => name)], rows }));
  for (const { case: item, backend, failure } of outcomes)
    if (failure !== undefined) console.log(`\nFAILED on ${backend}  ${item.name}\n  ${failure}`);
}

const sqlite: Backend = {
  name: 'SQLite',
  newStore: async (folder) => join(folder, 'store.sqlite'),
  giveBack: async () => undefined,
  newPlace: async (folder) => join(folder, 'store'),
};

/** A database costs more than a run: they are emptied and used again. */
function postgresBackend({ newDatabase }: PostgresServer): Backend {
  const free: string[] = [];
  return {
    name: 'PostgreSQL',
    newStore: async () => free.pop() ?? newDatabase(),
    async giveBack(store) {
      const client = new pg.Client({ connectionString: store });
      await client.connect();
      await client.query('DROP SCHEMA headwater CASCADE');
      await client.end();
      free.push(store);
    },
    newPlace: newDatabase,
  };
}

async function main(): Promise<number> {
  const startedMs = performance.now();
  const postgres = NO_POSTGRES === undefined ? await startPostgres() : undefined;
  if (NO_POSTGRES !== undefined) console.log(`SKIPPED on PostgreSQL: ${NO_POSTGRES}`);
  const backends = [sqlite, ...(postgres === undefined ? [] : [postgresBackend(postgres)])];
  try {
    const wanted = ({ name }: Case) => only === undefined || name.includes(only);
    const cases = CASES.filter(wanted);
    const parts = await Promise.all([
      cases.length === 0 ? [] : all(backends, cases),
      wanted(REAL) ? realOutcomes(backends) : [],
    ]);
    const outcomes = parts.flat();
    report([...cases, ...(wanted(REAL) ? [REAL] : [])], backends, outcomes);
    const failed = outcomes.filter(({ failure }) => failure !== undefined).length;
    const seconds = Math.round((performance.now() - startedMs) / 1000);
    console.log(
      `\n${outcomes.length - failed} of ${outcomes.length} finished with the right bits, ${seconds} s`,
    );
    return failed === 0 && outcomes.length > 0 ? 0 : 1;
  } finally {
    await postgres?.stop();
    rmSync(scratch, { recursive: true, force: true });
  }
}

process.exitCode = await main();
