/** `headwater audit releases`: which rounds were released, by which scores and votes, and what owners' contributions make of them. */

import { Command } from 'commander';
import { HeadwaterError } from '../../base/errors.ts';
import { replay } from '../../federation/machine.ts';
import type { Verdict } from '../../federation/releases.ts';
import { reputations } from '../../federation/reputation.ts';
import { releaseVerdicts } from '../../federation/stopping.ts';
import { upgraded } from '../../runs/upgrade.ts';
import type { Json } from '../../storage/journal.ts';
import { type AdminOptions, withAdminOptions } from '../admin-client.ts';
import { jsonOption } from '../options.ts';
import { paint, renderTable } from '../style.ts';
import { findLog } from './whole-log.ts';

type Options = AdminOptions & { readonly json?: true };

export function releasesCommand(): Command {
  return withAdminOptions(
    new Command('releases').description('gate, votes and reputations of a run, made again from its journal'),
  )
    .argument('<place>', 'run folder, name of a run of a coordinator, or its admin address')
    .argument('[run]', 'with an address: the name of the run')
    .addOption(jsonOption())
    .action(audit);
}

async function audit(place: string, run: string | undefined, options: Options): Promise<void> {
  const { events } = await findLog(place, run, options);
  if (events === undefined || events.length === 0)
    throw new HeadwaterError('RUN_NOT_FOUND', 'there is no journal of a run that has begun', {
      where: place,
    });
  const state = replay(events.map((event) => upgraded(event as unknown as Json)));
  const verdicts = releaseVerdicts(state);
  const withheld = new Set((verdicts ?? []).filter(({ released }) => !released).map(({ round }) => round));
  const owners = reputations(state, withheld);
  if (options.json) return void console.log(JSON.stringify({ verdicts: verdicts ?? null, owners }, null, 2));
  if (state.plan.release === undefined) console.log('This run releases without gate and vote.\n');
  else printVerdicts(verdicts);
  const rows = Object.entries(owners).map(([owner, { counted, refused, excluded, reputation }]) => [
    owner,
    String(counted),
    String(refused),
    String(excluded),
    reputation.toFixed(3),
  ]);
  console.log(renderTable({ head: ['owner', 'counted', 'refused', 'put aside', 'reputation'], rows }));
  console.log(
    paint.dim('\nreputation = (counted + 1) / (counted + refused + put aside + 2). Nobody is banned for it.'),
  );
}

function printVerdicts(verdicts: readonly Verdict[] | undefined): void {
  if (verdicts === undefined) {
    console.log('Validations are outstanding.\n');
    return;
  }
  const figure = (value: number | null | undefined) => (value == null ? '' : value.toFixed(4));
  const rows = verdicts.map(({ round, released, gate, vote }) => [
    String(round),
    figure(gate?.score),
    figure(gate?.reference),
    vote === undefined ? '' : `${(100 * vote.share).toFixed(1)} %`,
    released ? paint.good('released') : paint.bad('WITHHELD'),
  ]);
  console.log(renderTable({ head: ['round', 'gate', 'best before', 'for it', ''], rows }));
  console.log('');
}
