/** `headwater clients`: who joined a run; keys are revoked and quarantines lifted here. */

import { Command } from 'commander';
import type { ClientSummary } from '../coordinator/ports.ts';
import { type AdminOptions, openAdmin, withAdminOptions } from './admin-client.ts';
import { jsonOption } from './options.ts';
import { ago } from './runs.ts';
import { renderTable } from './style.ts';

interface Options extends AdminOptions {
  readonly json?: true;
  readonly revoke?: string;
  readonly pardon?: string;
}

export function clientsCommand(): Command {
  return withAdminOptions(
    new Command('clients').description('list the clients of a run; revoke or pardon one'),
  )
    .argument('<run>')
    .option('--revoke <id>', 'take no request of this key any more; its owner leaves the run')
    .option('--pardon <owner>', 'ask an owner again that was excluded after too many unusable updates')
    .addOption(jsonOption())
    .action(clients);
}

async function clients(run: string, options: Options): Promise<void> {
  const admin = await openAdmin(options);
  if (options.revoke !== undefined) await admin.post(`/clients/${options.revoke}/revoke`);
  if (options.pardon !== undefined) await admin.post(`/runs/${run}/owners/${options.pardon}/pardon`);
  const { clients: found } = await admin.get<{ clients: readonly ClientSummary[] }>(`/runs/${run}/clients`);
  if (options.json) return console.log(JSON.stringify(found));
  const rows = found.map(({ clientId, owner, revoked, standing, offences, lastSeenMs, software }) => [
    clientId,
    owner,
    revoked ? 'revoked' : standing,
    String(offences),
    ago(lastSeenMs),
    software,
  ]);
  const head = ['client', 'owner', 'standing', 'offences', 'heard', 'software'];
  console.log(renderTable({ head, rows, numeric: false }));
}
