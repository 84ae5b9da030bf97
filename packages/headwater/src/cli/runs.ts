/** `headwater runs` and `headwater status`: what a coordinator does. */

import { Command } from 'commander';
import type { ClientSummary, RunSummary } from '../coordinator/ports.ts';
import { hidesCohorts } from '../federation/poisson-cohort.ts';
import type { RunState } from '../federation/state.ts';
import { type AdminOptions, openAdmin, withAdminOptions } from './admin-client.ts';
import { jsonOption } from './options.ts';
import { scoresText } from './progress-lines.ts';
import { renderTable } from './style.ts';

type Options = AdminOptions & { readonly json?: true };

export function runsCommand(): Command {
  return withAdminOptions(new Command('runs').description('list the runs of a coordinator'))
    .addOption(jsonOption())
    .action(async (options: Options) => {
      const { runs } = await (await openAdmin(options)).get<{ runs: readonly RunSummary[] }>('/runs');
      if (options.json) return console.log(JSON.stringify(runs));
      const rows = runs.map(({ run, status, round, rounds, owners, reason }) => [
        run,
        status,
        `${round}/${rounds}`,
        String(owners),
        reason ?? '',
      ]);
      console.log(renderTable({ head: ['run', 'status', 'round', 'owners', ''], rows, numeric: false }));
    });
}

export function statusCommand(): Command {
  return withAdminOptions(new Command('status').description('where a run stands, and each of its owners'))
    .argument('<run>')
    .addOption(jsonOption())
    .action(async (run: string, options: Options) => {
      const admin = await openAdmin(options);
      const summary = await admin.get<RunSummary>(`/runs/${run}`);
      const { clients } = await admin.get<{ clients: readonly ClientSummary[] }>(`/runs/${run}/clients`);
      const { state } = await admin.get<{ state: RunState | null }>(`/runs/${run}/state`);
      if (options.json) return console.log(JSON.stringify({ ...summary, clients, state }));
      show(summary, clients, state);
    });
}

function show(
  { run, status, round, rounds, owners, reason }: RunSummary,
  clients: readonly ClientSummary[],
  state: RunState | null,
): void {
  console.log(
    `${run}: ${status}${reason === null ? '' : ` (${reason})`}, round ${round} of ${rounds}, ${owners} owners`,
  );
  const last = Object.entries(state?.evaluations ?? {}).at(-1);
  if (last !== undefined) console.log(`${last[0]}: ${scoresText(last[1].pooled)}`);
  const rows = clients
    .filter(({ revoked }) => !revoked)
    .map((client) => [client.owner, client.standing, doing(client, state), ago(client.lastSeenMs)]);
  if (rows.length > 0)
    console.log(renderTable({ head: ['owner', 'standing', 'round', 'heard'], rows, numeric: false }));
}

function doing({ owner }: ClientSummary, state: RunState | null): string {
  const open = state?.open;
  if (open === undefined || open.phase !== 'training') return '';
  if (hidesCohorts(state!.plan)) return 'drawn in secret';
  if (Object.hasOwn(open.accepted, owner)) return 'update accepted';
  if (Object.hasOwn(open.lost, owner)) return `lost: ${open.lost[owner]}`;
  return open.cohort.includes(owner) ? 'asked' : 'not asked';
}

/** Null: before the coordinator that was asked began to lead the run, if at all. */
export function ago(ms: number | null): string {
  if (ms === null) return 'not known';
  const seconds = Math.max(0, Math.round((Date.now() - ms) / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`;
}
