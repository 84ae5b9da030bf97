/** `headwater generate`: streams text. Instruction models get the prompt through their chat template. */

import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { HeadwaterError } from '../base/errors.ts';
import { chatTokens, endTokens, textTokens } from '../models/prompt-tokens.ts';
import { runToEnd, submitText, type TextToken } from '../training/generation/text.ts';
import { generateBatch } from './generate-batch.ts';
import { type OpenedModel, openModel } from './open-model.ts';
import { nonNegative, wholeNumber } from './options.ts';
import { samplingOf, type WritingOptions, withWritingOptions } from './sampling-options.ts';
import { paint, renderTable } from './style.ts';
import { weightedAdapterOption } from './weighted-adapters.ts';

interface GenerateOptions extends WritingOptions {
  readonly adapter?: readonly string[];
  readonly prompt?: string;
  readonly chat?: boolean;
  readonly system?: string;
  readonly batchFile?: string;
  readonly batchSize: number;
  readonly maxNewTokens: number;
  readonly seed: number;
  readonly logprobs?: number;
}

export function generateCommand(): Command {
  const command = new Command('generate')
    .description('write text with a model, token by token; the prompt comes from --prompt or standard input')
    .argument('<model>', 'folder or hub id owner/name')
    .addOption(weightedAdapterOption('PEFT adapter to apply; may be given several times, with weights'))
    .option('--prompt <text>', 'what to continue or answer; "" begins with the begin token')
    .option('--chat', "put the prompt into the model's chat template")
    .option('--system <text>', 'system message, with the chat template')
    .option('--batch-file <file>', 'JSON lines with prompt or messages; writes them with what was generated')
    .option('--batch-size <n>', 'rows of the file side by side', wholeNumber, 8)
    .option('--max-new-tokens <n>', 'stop after so many tokens', wholeNumber, 128)
    .option('--logprobs <n>', 'print log p of each token and of the n likeliest, on stderr', nonNegative);
  return withWritingOptions(command, { temperature: 0, topP: 1, seed: 0 }).action(generate);
}

async function generate(source: string, options: GenerateOptions): Promise<void> {
  if (options.batchFile !== undefined) return generateFile(source, options.batchFile, options);
  const prompt = options.prompt ?? readPrompt();
  const opened = await openModel({
    model: source,
    adapters: options.adapter,
    device: options.device,
    prepack: options.prepack,
  });
  const { maxNewTokens } = options;
  const tokens = promptTokens(opened, prompt, options);
  const maxTokens = tokens.length + maxNewTokens;
  const generator = opened.engine.openGenerator(opened.params, { batchSize: 1, maxTokens });
  const logprobs: TextToken[] = [];
  const pending = submitText(generator, opened.tokenizer, {
    prompt: tokens,
    options: generationOptions(opened, options),
    stop: options.stop,
    continues: !isChat(options),
    onPiece(piece) {
      process.stdout.write(piece.text);
      logprobs.push(...piece.tokens);
    },
  });
  await runToEnd(generator);
  const { reason } = await pending.done;
  process.stdout.write('\n');
  if (options.logprobs !== undefined) process.stderr.write(`${logprobTable(logprobs)}\n`);
  if (reason === 'length') process.stderr.write(paint.dim(`(cut after ${maxNewTokens} tokens)\n`));
  await opened.close();
}

async function generateFile(source: string, file: string, options: GenerateOptions): Promise<void> {
  const clash = (['prompt', 'chat', 'system', 'logprobs'] as const).find((key) => options[key] !== undefined);
  if (clash !== undefined)
    throw new HeadwaterError('OPTION_INVALID', `--${clash} and --batch-file do not go together`, {
      hint: 'Rows with `messages` are chats, rows with `prompt` plain text.',
    });
  const { adapter: adapters, device, prepack, batchSize, stop } = options;
  const opened = await openModel({ model: source, adapters, device, prepack });
  const settings = (row: number, stopTokenIds: readonly number[]) => {
    return { ...generationOptions(opened, options), stopTokenIds, seedPath: [options.seed, 'row', row] };
  };
  await generateBatch(opened, { file, batchSize, stop, options: settings });
  await opened.close();
}

function generationOptions(opened: OpenedModel, options: GenerateOptions) {
  const { maxNewTokens, seed, logprobs } = options;
  const details = logprobs === undefined ? {} : { topLogprobs: logprobs };
  const stopTokenIds = isChat(options) ? endTokens(opened) : opened.model.eosTokenIds;
  return { maxNewTokens, ...samplingOf(options), stopTokenIds, seedPath: [seed, 'generate'], ...details };
}

function isChat({ chat, system }: GenerateOptions): boolean {
  return chat === true || system !== undefined;
}

function readPrompt(): string {
  if (process.stdin.isTTY)
    throw new HeadwaterError('OPTION_INVALID', 'there is no prompt', {
      hint: 'Give --prompt "…", or pipe the prompt into this command.',
    });
  return readFileSync(0, 'utf8').replace(/\n$/, '');
}

function promptTokens(opened: OpenedModel, prompt: string, options: GenerateOptions): Int32Array {
  if (!isChat(options)) return textTokens(opened, prompt);
  return chatTokens(opened, [
    ...(options.system === undefined ? [] : [{ role: 'system', content: options.system }]),
    { role: 'user', content: prompt },
  ]);
}

function logprobTable(tokens: readonly TextToken[]): string {
  const text = (bytes: readonly number[]) => JSON.stringify(new TextDecoder().decode(Uint8Array.from(bytes)));
  const rows = tokens.map(({ bytes, logprob, top }) => [
    text(bytes),
    logprob.toFixed(3),
    top.map((item) => `${text(item.bytes)} ${item.logprob.toFixed(3)}`).join('  '),
  ]);
  return renderTable({ head: ['token', 'log p', 'most likely'], rows, numeric: false });
}
