/** `headwater leave`: this machine's owner withdraws from a run. */

import { Command } from 'commander';
import { leaveRun } from '../client/leave-node.ts';
import { interruptSignal } from './interrupt.ts';
import { jsonOption } from './options.ts';

interface LeaveOptions {
  readonly token?: string;
  readonly state?: string;
  readonly ca?: string;
  readonly insecure?: true;
  readonly json?: true;
}

export function leaveCommand(): Command {
  return new Command('leave')
    .description('withdraw from a run; the same `join` command comes back')
    .argument('<url>', 'the invitation that this machine joined with')
    .option('--token <token>', 'instead of one in the address; or HEADWATER_TOKEN in the environment')
    .option('--state <folder>', 'the state folder that `join` was given')
    .option('--ca <file>', 'certificate (PEM) of the authority that signed the coordinator’s')
    .option('--insecure', 'allow plain HTTP to another machine')
    .addOption(jsonOption())
    .action(leave);
}

async function leave(url: string, { state, ca, insecure, json, ...given }: LeaveOptions): Promise<void> {
  const token = given.token ?? process.env.HEADWATER_TOKEN;
  const interrupt = interruptSignal();
  try {
    const left = await leaveRun({
      url,
      signal: interrupt.signal,
      ...(token === undefined ? {} : { token }),
      ...(state === undefined ? {} : { state }),
      ...(ca === undefined ? {} : { caFile: ca }),
      ...(insecure === undefined ? {} : { insecure }),
    });
    if (json === true) console.log(JSON.stringify(left));
    else console.log(`"${left.owner}" has left the run "${left.run}"`);
  } finally {
    interrupt.release();
  }
}
