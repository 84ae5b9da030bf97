/** `headwater stop`, `cancel`, `pause`, `resume`: one word each to a running coordinator. */

import { Command } from 'commander';
import type { RunSummary } from '../coordinator/ports.ts';
import { type AdminOptions, openAdmin, withAdminOptions } from './admin-client.ts';
import { jsonOption } from './options.ts';

type Options = AdminOptions & { readonly json?: true; readonly reason?: string };

const WORDS = {
  stop: 'finish a run after the open round: its result so far is published',
  cancel: 'end a run without a result',
  pause: 'hand out no work until `headwater resume`; updates under way are taken',
  resume: 'let a paused run go on',
} as const;

export function steeringCommands(): Command[] {
  return (Object.keys(WORDS) as (keyof typeof WORDS)[]).map(commandFor);
}

function commandFor(word: keyof typeof WORDS): Command {
  const command = withAdminOptions(new Command(word).description(WORDS[word])).argument('<run>');
  if (word !== 'resume') command.option('--reason <text>', 'for the journal and the clients');
  return command.addOption(jsonOption()).action(async (run: string, options: Options) => {
    const admin = await openAdmin(options);
    await admin.post(`/runs/${run}/${word}`, options.reason === undefined ? {} : { reason: options.reason });
    const summary = await admin.get<RunSummary>(`/runs/${run}`);
    if (options.json) console.log(JSON.stringify(summary));
    else console.log(`${run}: ${summary.status}, round ${summary.round} of ${summary.rounds}`);
  });
}
