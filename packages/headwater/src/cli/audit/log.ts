/** `headwater audit log`: reads a whole transparency log and says what holds of it. */

import { Command } from 'commander';
import { ed25519Verify } from '../../base/ed25519-node.ts';
import { HeadwaterError, messageOf } from '../../base/errors.ts';
import type { RunEvent } from '../../federation/events.ts';
import { type AuditedLog, auditLog, type Finding } from '../../federation/log/audit.ts';
import { replay } from '../../federation/machine.ts';
import { upgraded } from '../../runs/upgrade.ts';
import { writeFileAtomically } from '../../storage/atomic-file.ts';
import type { Json } from '../../storage/journal.ts';
import { type AdminOptions, withAdminOptions } from '../admin-client.ts';
import { collect, jsonOption } from '../options.ts';
import { paint, renderTable } from '../style.ts';
import { receiptClaim } from './receipt-claim.ts';
import { exportText, findLog, seenHead } from './whole-log.ts';

interface LogOptions extends AdminOptions {
  readonly seen?: readonly string[];
  readonly export?: string;
  readonly receipt?: readonly string[];
  readonly json?: true;
}

export function logCommand(): Command {
  return withAdminOptions(
    new Command('log').description('check the transparency log of a run, its head and its releases'),
  )
    .argument(
      '<place>',
      'run folder, name of a run of a coordinator, its admin address, or an exported .jsonl file',
    )
    .argument('[run]', 'with an address: the name of the run')
    .option(
      '--seen <place>',
      'state folder of a client, or file with a head, that the log must continue',
      collect,
    )
    .option('--receipt <file>', 'receipt of unlearning that must be an entry', collect)
    .option('--export <file>', 'write the log (.jsonl): entries and signed head; it names owners')
    .addOption(jsonOption())
    .action(audit);
}

async function audit(place: string, run: string | undefined, options: LogOptions): Promise<void> {
  const found = await findLog(place, run, options);
  const seen = await Promise.all((options.seen ?? []).map(seenHead));
  const receipts = await Promise.all((options.receipt ?? []).map(receiptClaim));
  const audited = await auditLog({ ...found, seen, receipts }, ed25519Verify);
  const findings = [...audited.findings, ...replayed(found.events)];
  if (options.export !== undefined)
    await writeFileAtomically(options.export, exportText(found, audited.root));
  if (options.json) console.log(JSON.stringify({ run: found.run, ...audited, findings }, null, 2));
  else print(found.run, audited, findings);
  const broken = findings.filter(({ holds }) => holds === false);
  if (broken.length > 0)
    throw new HeadwaterError(
      'LOG_FORKED',
      `of this log does not hold: ${broken.map(({ what }) => what).join('; ')}`,
    );
}

/** The machine itself refuses releases that were made of other members than the journal says. */
function replayed(events: readonly RunEvent[] | undefined): Finding[] {
  const what = 'every release is made of the members that the journal froze';
  if (events === undefined) return [{ what, holds: undefined, detail: 'no journal here, entries only' }];
  if (events.length === 0) return [];
  try {
    const state = replay(events.map((event) => upgraded(event as unknown as Json)));
    return [
      { what, holds: true, detail: `${state.closed.length} rounds replayed, the run is ${state.status}` },
    ];
  } catch (cause) {
    return [{ what, holds: false, detail: messageOf(cause) }];
  }
}

function print(run: string, { size, root, releases }: AuditedLog, findings: readonly Finding[]): void {
  console.log(`${paint.bold(run)}: ${size} entries, ${releases} releases\nroot ${root}\n`);
  const rows = findings.map(({ what, holds, detail }) => [
    holds === undefined ? paint.dim('not checked') : holds ? paint.good('holds') : paint.bad('BROKEN'),
    what,
    detail,
  ]);
  console.log(renderTable({ head: ['', 'what', ''], rows, numeric: false }));
}
