/**
 * The row with a real model: `headwater serve` and three `headwater join` as users start them, on three sites' files. The
 * coordinator and a client are killed in the middle; the adapter must have the bits of `headwater run` with the same recipe.
 */

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { RunEvent } from '../../src/federation/events.ts';
import { eventsOf } from '../../src/runs/journal-events.ts';
import { openAny } from './check.ts';
import { type Child, startProgram, within } from './processes.ts';

const program = fileURLToPath(new URL('../../bin/headwater.js', import.meta.url));
const sites = fileURLToPath(new URL('../../assets/medquad/sites/', import.meta.url));
const RUN = 'three-sites';
const OWNERS = ['cancergov', 'cdc', 'nhlbi'];
/** A minute's work instead of ten. */
const SETTINGS = [
  'federation.rounds=3',
  'federation.localSteps=2',
  'evaluation.everyRounds=3',
  'evaluation.sampleSize=6',
  'evaluation.validationSampleSize=6',
].flatMap((text) => ['--set', text]);

const REAL_MS = 200_000;

function headwater(home: string, ...args: string[]): Child {
  return startProgram([program, ...args], { HEADWATER_HOME: home });
}

/** The simulation of the same recipe: SHA-256 of its adapter. */
export async function simulatedAdapter(folder: string): Promise<string> {
  const out = join(folder, 'simulated');
  const child = headwater(folder, 'run', RUN, ...SETTINGS, '--out', out);
  const { code } = await within(REAL_MS, 'the simulation', child.ended);
  if (code !== 0) throw new Error(`the simulation failed: ${child.complaints()}`);
  return adapterIn(out);
}

function adapterIn(folder: string): string {
  const bytes = readFileSync(join(folder, 'adapter/adapter_model.safetensors'));
  return createHash('sha256').update(bytes).digest('hex');
}

/** The adapter of a deployment in which a client dies with its first update and the coordinator with the next commit. */
export async function deployedAdapter(folder: string, store: string): Promise<string> {
  const children = new Set<Child>();
  const start = (...args: string[]) => {
    const child = headwater(folder, ...args);
    children.add(child);
    return child;
  };
  try {
    await within(REAL_MS, 'the deployment', deploy(folder, store, start));
  } catch (error) {
    const said = [...children].map((child) => `\n  --\n${child.complaints()}`).join('');
    throw new Error(`${(error as Error).message}${said}`);
  } finally {
    for (const { process } of children) process.kill('SIGKILL');
  }
  return adapterIn(join(folder, 'coordinator/runs', RUN));
}

async function deploy(folder: string, store: string, start: (...args: string[]) => Child): Promise<void> {
  mkdirSync(join(folder, 'coordinator'), { recursive: true });
  const places = [
    '--store',
    store,
    '--blobs',
    join(folder, 'blobs'),
    '--folder',
    join(folder, 'coordinator'),
  ];
  const serve = (port: string) =>
    start('serve', RUN, ...SETTINGS, ...places, '--port', port, '--admin-port', '0', '--until-done');
  const first = serve('0');
  const { url, invitations } = await invitationsFrom(first);
  const joinAs = (owner: string) => {
    const data = join(sites, `${owner}.jsonl.gz`);
    return start('join', invitations.get(owner)!, '--data', data, '--state', join(folder, owner));
  };
  const clients = new Map(OWNERS.map((owner) => [owner, joinAs(owner)]));
  const doomed = clients.get('cdc')!;
  const database = store.startsWith('postgres:') ? store : join(store, 'store.sqlite');
  await happened(database, (event) => event.type === 'update-received' && event.owner === 'cdc');
  await killed(doomed);
  clients.set('cdc', joinAs('cdc'));
  await happened(database, (event) => event.type === 'aggregated');
  await killed(first);
  const second = serve(new URL(url).port);
  for (const [owner, client] of [...clients, ['the coordinator', second] as const]) {
    const { code, signal } = await client.ended;
    if (code !== 0) throw new Error(`${owner} ended with ${signal ?? code}`);
  }
}

async function killed(child: Child): Promise<void> {
  child.process.kill('SIGKILL');
  const { signal } = await child.ended;
  if (signal !== 'SIGKILL') throw new Error('a process ended before it could be killed');
}

async function invitationsFrom(coordinator: Child) {
  const invitations = new Map<string, string>();
  let url = '';
  while (invitations.size < OWNERS.length) {
    const text = coordinator.output();
    url = /coordinator on (\S+),/.exec(text)?.[1] ?? '';
    for (const [, owner, address] of text.matchAll(/# (\S+)\n\s+headwater join '([^']+)'/g))
      invitations.set(owner!, address!);
    if (coordinator.process.exitCode !== null) throw new Error('the coordinator does not start');
    await wait(50);
  }
  return { url, invitations };
}

/** Looks into the journal from outside until the event is there. */
async function happened(database: string, isIt: (event: RunEvent) => boolean): Promise<void> {
  const store = await openAny(database);
  try {
    for (;;) {
      const begun = (await store.journals.list()).includes(RUN);
      const events = begun ? await eventsOf(await store.journals.open(RUN)) : [];
      if (events.some(isIt)) return;
      await wait(20);
    }
  } finally {
    await store.close();
  }
}
