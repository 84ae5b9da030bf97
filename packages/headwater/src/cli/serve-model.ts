/** `headwater serve-model`: a model and its adapters behind OpenAI's API, until it is told to stop. */

import { Command, InvalidArgumentError, Option } from 'commander';
import type { Device } from '../runtime/executor.ts';
import { serveModel } from '../serving/serve-model.ts';
import { downloadProgress } from './download-progress.ts';
import { interruptSignal } from './interrupt.ts';
import { collect, deviceOption, portNumber, prepackOption, wholeNumber } from './options.ts';

interface ServeModelCommandOptions {
  readonly name?: string;
  readonly adapter?: Readonly<Record<string, string>>;
  readonly host: string;
  readonly port: number;
  readonly apiKey?: string;
  readonly insecure?: true;
  readonly corsOrigin: readonly string[];
  readonly contextLength?: number;
  readonly batchSize: number;
  readonly prepack: boolean;
  readonly device: Device;
  readonly threads?: number;
}

/** Answers under way may end. */
const DRAIN_MS = 30_000;

export function serveModelCommand(): Command {
  return new Command('serve-model')
    .description('answer over HTTP as the OpenAI API does: chats and completions, streamed or whole')
    .argument('<model>', 'folder or hub id owner/name')
    .option('--name <name>', 'what requests call the model (default: the hub id, or the folder’s name)')
    .option('--adapter <name=folder>', 'PEFT adapter under a model name of its own; may be repeated', named)
    .option('--host <address>', 'where clients connect', '127.0.0.1')
    .option('--port <n>', 'where clients connect; 0: any free one', portNumber, 8000)
    .addOption(
      new Option('--api-key <key>', 'asked of clients; allows to change adapters over HTTP').env(
        'HEADWATER_API_KEY',
      ),
    )
    .option('--insecure', 'allow plain HTTP on other addresses than those of this machine')
    .option('--cors-origin <origin>', 'web page that may use the endpoint; may be repeated', collect, [])
    .option(
      '--context-length <n>',
      'tokens of prompt and answer (default: the model’s, at most 4096)',
      wholeNumber,
    )
    .option('--batch-size <n>', 'texts that grow side by side', wholeNumber, 8)
    .option('--threads <n>', 'threads that compute (default: one a core)', wholeNumber)
    .addOption(prepackOption())
    .addOption(deviceOption().default('cpu'))
    .action(serve);
}

function named(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf('=');
  const [name, folder] = [text.slice(0, at), text.slice(at + 1)];
  if (at < 1 || folder === '') throw new InvalidArgumentError('expected name=folder.');
  if (Object.hasOwn(before, name)) throw new InvalidArgumentError(`there are two adapters called "${name}".`);
  return { ...before, [name]: folder };
}

async function serve(model: string, options: ServeModelCommandOptions): Promise<void> {
  const progress = downloadProgress();
  const say = (line: string) => void process.stdout.write(`${line}\n`);
  const server = await serveModel({
    ...options,
    model,
    adapters: options.adapter ?? {},
    corsOrigins: options.corsOrigin,
    onDownload: progress.show,
    warn: (text) => void process.stderr.write(`${text}\n`),
  }).finally(progress.end);
  const interrupt = interruptSignal();
  say(
    `serving ${server
      .names()
      .map(({ name }) => name)
      .join(', ')} on ${server.url}/v1`,
  );
  say(`${server.maxTokens} tokens of context, ${options.batchSize} texts side by side`);
  if (!server.hasChatTemplate) say('the model has no chat template: /v1/completions only');
  try {
    const failure = await Promise.race([untilAborted(interrupt.signal), server.failed]);
    if (failure !== undefined) throw failure;
  } finally {
    await server.close(DRAIN_MS);
    interrupt.release();
  }
}

function untilAborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((done) => {
    if (signal.aborted) done(undefined);
    else signal.addEventListener('abort', () => done(undefined), { once: true });
  });
}
