/** `headwater join`: takes part in a run with this machine's data, or shows what that would mean. */

import { readFile } from 'node:fs/promises';
import { Command, InvalidArgumentError } from 'commander';
import { HeadwaterError } from '../base/errors.ts';
import { parseBytes } from '../base/format.ts';
import { storageError } from '../base/io-errors.ts';
import { type JoinedRun, type JoinRunOptions, joinRun } from '../client/join-node.ts';
import type { PolicyRules } from '../client/policy.ts';
import { parsePolicy } from '../client/policy-text.ts';
import { previewRun } from '../client/preview-node.ts';
import { interruptSignal } from './interrupt.ts';
import { createJoinDisplay } from './join-display.ts';
import { parseMapping } from './mapping.ts';
import { collect, jsonOption, wholeNumber } from './options.ts';
import { printPreview } from './show-preview.ts';

interface JoinCommandOptions {
  readonly data: readonly string[];
  readonly validation: readonly string[];
  readonly test: readonly string[];
  readonly map: readonly string[];
  readonly plugin: readonly string[];
  readonly token?: string;
  readonly ownerName?: string;
  readonly policy?: string;
  readonly model?: string;
  readonly threads?: number;
  readonly maxMemory?: number;
  readonly state?: string;
  readonly out?: string;
  readonly ca?: string;
  readonly insecure?: true;
  readonly forgetLog?: true;
  readonly dryRun?: true;
  readonly json?: true;
}

export function joinCommand(): Command {
  return new Command('join')
    .description('take part in a run with your own data: only updates and figures leave this machine')
    .argument('<url>', 'the invitation: https://host:8420/#hw1_…')
    .option('--data <file>', 'your examples; may be repeated', collect, [])
    .option('--validation <file>', 'held-out examples; default: split off as the run says', collect, [])
    .option('--test <file>', 'examples for the test; default: split off as the run says', collect, [])
    .option('--map <column=yours>', 'which of your columns (or template over them) is meant', collect, [])
    .option('--dry-run', 'show the run, your data as the model would see them, and what would leave')
    .option('--policy <file>', 'what you allow (YAML); see docs/joining.md')
    .option('--token <token>', 'instead of one in the address; or HEADWATER_TOKEN in the environment')
    .option('--owner-name <name>', 'join only if the invitation is for this name')
    .option('--model <folder|id>', 'your copy of the base model; default: fetched and kept')
    .option(
      '--threads <n>',
      'at most so many threads; fewer than the run’s may change the last bits',
      wholeNumber,
    )
    .option('--max-memory <size>', 'stop above this, for example 4GB', memorySize)
    .option('--state <folder>', 'where the key and unfinished work are kept (default: under ~/.headwater)')
    .option('--out <folder>', 'write the result of the run here when it is finished')
    .option('--ca <file>', 'certificate (PEM) of the authority that signed the coordinator’s')
    .option('--insecure', 'allow plain HTTP to another machine')
    .option(
      '--forget-log',
      'take the run’s log as it is now: the operator restored a backup, and you believe it',
    )
    .option('--plugin <file>', 'module that the run needs and you trust; may be repeated', collect, [])
    .addOption(jsonOption())
    .action(join);
}

async function join(url: string, options: JoinCommandOptions): Promise<void> {
  const interrupt = interruptSignal();
  const display = createJoinDisplay(process.stderr);
  try {
    const given = {
      ...(await joinOptions(url, options)),
      signal: interrupt.signal,
      onEvent: display.onEvent,
    };
    if (options.dryRun === true) {
      const preview = await previewRun(given);
      display.stop();
      if (options.json === true) console.log(JSON.stringify(preview));
      else printPreview(preview, { policyFile: options.policy, mapping: parseMapping(options.map) });
      return;
    }
    const outcome = await joinRun(given);
    display.stop();
    show(outcome, options);
  } finally {
    display.stop();
    interrupt.release();
  }
}

async function joinOptions(url: string, options: JoinCommandOptions): Promise<JoinRunOptions> {
  const { data, validation, test, map, ownerName, policy, ca, maxMemory, plugin } = options;
  if (data.length === 0)
    throw new HeadwaterError('OPTION_INVALID', 'which data? --data FILE names your examples', {
      hint: '.jsonl, .json, .csv, .tsv, .parquet or .txt, each also as .gz. --dry-run shows them as the model would see them.',
    });
  const token = options.token ?? process.env.HEADWATER_TOKEN;
  const { model, threads, state, out, insecure } = options;
  return {
    url,
    data: {
      train: { files: data },
      validation: validation.length === 0 ? undefined : { files: validation },
      test: test.length === 0 ? undefined : { files: test },
      mapping: parseMapping(map),
    },
    plugins: plugin,
    ...(token === undefined ? {} : { token }),
    ...(ownerName === undefined ? {} : { owner: ownerName }),
    ...(policy === undefined ? {} : { policy: await readPolicy(policy) }),
    ...(model === undefined ? {} : { model }),
    ...(threads === undefined ? {} : { threads }),
    ...(maxMemory === undefined ? {} : { maxMemoryBytes: maxMemory }),
    ...(state === undefined ? {} : { state }),
    ...(out === undefined ? {} : { out }),
    ...(ca === undefined ? {} : { caFile: ca }),
    ...(insecure === undefined ? {} : { insecure }),
    ...(options.forgetLog === undefined ? {} : { forgetLog: true }),
  };
}

async function readPolicy(file: string): Promise<PolicyRules> {
  const text = await readFile(file, 'utf8').catch((cause) => {
    throw storageError(cause, 'read the policy', file, 'POLICY_INVALID');
  });
  return parsePolicy(text, file);
}

function memorySize(text: string): number {
  const bytes = parseBytes(text);
  if (bytes === undefined || bytes === 0) throw new InvalidArgumentError('expected a size such as 4GB.');
  return bytes;
}

/** A run without a result is a failure for whoever waits for it. */
function show(outcome: JoinedRun, { json, out }: JoinCommandOptions): void {
  if (json === true) console.log(JSON.stringify(outcome));
  const { run, status, reason } = outcome;
  if (status !== 'finished') {
    const why = reason === null ? '' : `: ${reason}`;
    throw new HeadwaterError('ROUND_FAILED', `the run "${run}" was ${status}${why}`);
  }
  if (json !== true && out !== undefined) console.log(out);
}
