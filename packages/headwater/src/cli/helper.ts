/** `headwater helper`: the second server of secure aggregation, for a party other than the coordinator's. */

import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { HeadwaterError } from '../base/errors.ts';
import { storageError } from '../base/io-errors.ts';
import type { HelperAnswer } from '../helper/core.ts';
import { serveHelper } from '../helper/serve.ts';
import { interruptSignal } from './interrupt.ts';
import { portNumber, wholeNumber } from './options.ts';

interface HelperOptions {
  readonly store: string;
  readonly host: string;
  readonly port: number;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly insecure?: true;
  readonly minUpdates: number;
  readonly members?: string;
}

export function helperCommand(): Command {
  return new Command('helper')
    .description(
      'open the sums of masks for a coordinator that must see no single update; run by another party',
    )
    .option('--store <folder>', 'where the key is kept, and what was opened', 'helper')
    .option('--host <host>', 'address to listen on', '127.0.0.1')
    .option('--port <n>', 'where coordinators connect', portNumber, 8422)
    .option('--tls-cert <file>', 'certificate, with its chain (PEM); `headwater certificates` makes one')
    .option('--tls-key <file>', 'its key (PEM)')
    .option('--insecure', 'allow plain HTTP on other addresses than those of this machine')
    .option('--min-updates <n>', 'never open a sum of fewer, whatever a run says', wholeNumber, 3)
    .option(
      '--members <file>',
      'lines `owner key`: whose updates count (default: whomever the coordinator names)',
    )
    .action(help);
}

async function help({ members, insecure, ...options }: HelperOptions): Promise<void> {
  const interrupt = interruptSignal();
  const known = members === undefined ? undefined : await readMembers(members);
  const say = (line: string) => void process.stdout.write(`${line}\n`);
  const server = await serveHelper({
    ...options,
    insecure: insecure === true,
    members: known,
    onAnswer: (answer) => say(lineOf(answer)),
    onError: (reason) => say(`failed: ${reason}`),
  });
  try {
    say(`helper on ${server.url}; in the recipe:`);
    say(
      `  privacy: { secureAggregation: { mode: two-server, helper: { url: '${server.url}', key: '${server.publicKey}' } } }`,
    );
    if (known === undefined)
      say(
        'any owner counts whom the coordinator names: give --members to count only those whose keys you know',
      );
    await new Promise<void>((resolve) => {
      if (interrupt.signal.aborted) return resolve();
      interrupt.signal.addEventListener('abort', () => resolve(), { once: true });
    });
  } finally {
    await server.close();
    interrupt.release();
  }
}

function lineOf(answer: HelperAnswer): string {
  if (answer.kind === 'refused') return `refused: ${answer.body.error.message}`;
  const { context, members } = answer.order;
  return `run ${context.run}, round ${context.round}: the masks of ${members.length} updates opened`;
}

async function readMembers(file: string): Promise<ReadonlyMap<string, string>> {
  const text = await readFile(file, 'utf8').catch((cause) => {
    throw storageError(cause, 'read the members', file, 'OPTION_INVALID');
  });
  const lines = text.split('\n').map((line) => line.replace(/#.*/, '').trim());
  const entries = lines.flatMap((line, i) => {
    if (line === '') return [];
    const [owner, key, more] = line.split(/\s+/);
    if (owner !== undefined && /^[A-Za-z0-9_-]{43}$/.test(key ?? '') && more === undefined)
      return [[owner, key!] as const];
    throw new HeadwaterError('OPTION_INVALID', 'expected an owner and its public key in base64url', {
      where: `${file}:${i + 1}`,
    });
  });
  return new Map(entries);
}
