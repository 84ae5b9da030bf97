/** `headwater tokens`: invitations to a run are listed, made and revoked. A secret is shown once, when it is made. */

import { Command } from 'commander';
import { HeadwaterError } from '../base/errors.ts';
import type { TokenSummary } from '../coordinator/ports.ts';
import { type AdminOptions, openAdmin, withAdminOptions } from './admin-client.ts';
import { joinLine } from './invite.ts';
import { jsonOption, nonNegative, wholeNumber } from './options.ts';
import { renderTable } from './style.ts';

interface Options extends AdminOptions {
  readonly json?: true;
  readonly create?: true;
  readonly revoke?: string;
  readonly owner?: string;
  readonly uses: number;
  readonly days: number;
}

export function tokensCommand(): Command {
  return withAdminOptions(new Command('tokens').description('list, make and revoke invitations to a run'))
    .argument('<run>')
    .option('--create', 'make one and print what its owner types')
    .option('--owner <name>', 'bind it to this name (default: a free name client-N for each client)')
    .option('--uses <n>', 'how many clients may use it', wholeNumber, 1)
    .option('--days <n>', 'how long it can be used', nonNegative, 7)
    .option('--revoke <id>', 'who has it cannot join any more; who has joined stays')
    .addOption(jsonOption())
    .action(tokens);
}

async function tokens(run: string, options: Options): Promise<void> {
  const admin = await openAdmin(options);
  if (options.revoke !== undefined) {
    await admin.remove(`/tokens/${options.revoke}`);
    if (!options.json) console.log(`token ${options.revoke} is revoked`);
    return;
  }
  if (options.create === undefined) return list(await admin.get(`/runs/${run}/tokens`), options.json);
  if (options.owner !== undefined && options.uses > 1)
    throw new HeadwaterError(
      'OPTION_INVALID',
      'a token for one owner has one use: each further use would replace its key',
    );
  const { owner = null, uses, days } = options;
  const made = await admin.post<{ id: string; text: string }>(`/runs/${run}/tokens`, {
    owner,
    uses,
    ttlSeconds: days * 86_400,
  });
  const { url } = await admin.get<{ url: string }>('/about');
  if (options.json) console.log(JSON.stringify({ ...made, invitation: `${url}/#${made.text}` }));
  else console.log(joinLine(url, made.text, url.startsWith('https:')));
}

function list({ tokens: found }: { readonly tokens: readonly TokenSummary[] }, json?: true): void {
  if (json) return void console.log(JSON.stringify(found));
  const rows = found.map(({ id, owner, usesLeft, expiresMs }) => [
    id,
    owner ?? 'any',
    String(usesLeft),
    expiresMs < Date.now() ? 'expired' : new Date(expiresMs).toISOString().slice(0, 16).replace('T', ' '),
  ]);
  console.log(renderTable({ head: ['token', 'owner', 'uses left', 'until (UTC)'], rows, numeric: false }));
}
