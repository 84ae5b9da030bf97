/** One row of the matrix: a run with real processes, one of which is killed at a point and started again. */

import { join } from 'node:path';
import { isOver } from './check.ts';
import type { ClientsTask } from './clients.ts';
import type { CoordinatorTask } from './coordinator.ts';
import type { KillRecipe } from './model.ts';
import type { KillPoint } from './points.ts';
import { type Child, startChild, within } from './processes.ts';

export interface Row {
  readonly name: string;
  /** Undefined: nobody is killed. */
  readonly point: KillPoint | undefined;
  /** False: a client that was killed is not started again. */
  readonly returns: boolean;
  readonly recipe: KillRecipe;
  /** SQLite file, or address of a database. */
  readonly store: string;
  readonly folder: string;
}

type Start = (entry: 'coordinator' | 'clients', task: unknown) => Child;

const DOOMED = 'b';
const ROW_MS = 60_000;

/** Resolves when every client has seen the end of the run and the coordinator has stopped in good order. */
export async function runRow(row: Row): Promise<void> {
  const children = new Set<Child>();
  // Whoever is killed because the row failed is not to come back.
  let over = false;
  const start: Start = (entry, task) => {
    if (over) throw new Error('the row is over');
    const child = startChild(entry, task);
    children.add(child);
    child.ended.then(() => children.delete(child));
    return child;
  };
  try {
    await within(ROW_MS, row.name, play(row, start));
  } catch (error) {
    const said = [...children].map((child) => `\n  --\n${child.complaints()}`).join('');
    throw new Error(`${(error as Error).message}${said}`);
  } finally {
    over = true;
    for (const { process } of children) process.kill('SIGKILL');
  }
}

async function play(row: Row, start: Start): Promise<void> {
  const coordinator = await superviseCoordinator(row, (task) => start('coordinator', task));
  const tokens = Object.entries(coordinator.tokens);
  const apart = row.point?.process === 'client';
  const groups = apart
    ? [tokens.filter(([owner]) => owner === DOOMED), tokens.filter(([owner]) => owner !== DOOMED)]
    : [tokens];
  const url = `http://127.0.0.1:${coordinator.port}`;
  await Promise.all(
    groups.map((group, index) => {
      const point = apart && index === 0 ? row.point!.name : null;
      const task: ClientsTask = {
        url,
        folder: join(row.folder, 'clients'),
        recipe: row.recipe,
        tokens: Object.fromEntries(group),
        point,
      };
      return superviseClients(row, task, (next) => start('clients', next));
    }),
  );
  await coordinator.finish();
}

async function superviseClients(
  row: Row,
  task: ClientsTask,
  start: (task: ClientsTask) => Child,
): Promise<void> {
  const { code, signal } = await endOf(start(task));
  if (task.point === null) {
    if (code !== 0) throw new Error(`clients ended with ${signal ?? code}`);
    return;
  }
  if (signal !== 'SIGKILL') throw new Error(`the client was not killed, it ended with ${code}`);
  if (row.returns) await superviseClients(row, { ...task, point: null }, start);
}

async function endOf(child: Child): ReturnType<() => Child['ended']> {
  const end = await child.ended;
  if (end.code !== 0 && end.signal === null) await child.ready;
  return end;
}

interface FirstLine {
  readonly port: number;
  readonly tokens: Record<string, string>;
}

interface SupervisedCoordinator {
  readonly port: number;
  readonly tokens: Readonly<Record<string, string>>;
  /** Waits for its death, if it is to die, and for the end of what it has to do; then stops it. */
  finish(): Promise<void>;
}

async function superviseCoordinator(
  row: Row,
  start: (task: CoordinatorTask) => Child,
): Promise<SupervisedCoordinator> {
  const { store, folder, recipe } = row;
  const doomed = row.point?.process === 'coordinator';
  const common = { store, blobs: join(folder, 'blobs'), recipe };
  let child = start({ ...common, port: 0, point: doomed ? row.point!.name : null, first: true });
  const { port, tokens } = JSON.parse(await child.ready) as FirstLine;
  const again = () => start({ ...common, port, point: null, first: false });
  const reborn = doomed
    ? child.ended.then(({ signal, code }) => {
        if (signal !== 'SIGKILL') throw new Error(`the coordinator was not killed, it ended with ${code}`);
        child = again();
      })
    : Promise.resolve();
  reborn.catch(() => undefined);
  return {
    port,
    tokens,
    async finish() {
      await within(5000, `reaching the point "${row.name}"`, reborn);
      await child.ready;
      await stop(child);
      // What it was about to write when it was stopped is written at the next start.
      for (let attempt = 0; !(await isOver(row)) && attempt < 3; attempt++) {
        child = again();
        await child.ready;
        await stop(child);
      }
    },
  };
}

async function stop(child: Child): Promise<void> {
  child.process.kill('SIGTERM');
  const { code, signal } = await child.ended;
  if (code !== 0) throw new Error(`the coordinator stopped with ${signal ?? code}`);
}
