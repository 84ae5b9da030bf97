/** `headwater generate`: streams text. Instruction models get the prompt through their chat template. */

import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { HeadwaterError } from '../base/errors.ts';
import { streamDecoder } from '../models/stream-decoder.ts';
import type { Device } from '../runtime/executor.ts';
import { type OpenedModel, openModel } from './open-model.ts';
import { deviceOption, nonNegative, wholeNumber } from './options.ts';
import { weightedAdapterOption } from './weighted-adapters.ts';

interface GenerateOptions {
  readonly adapter?: readonly string[];
  readonly prompt?: string;
  readonly chat?: boolean;
  readonly system?: string;
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly seed: number;
  readonly device: Device;
}

export function generateCommand(): Command {
  return new Command('generate')
    .description('write text with a model, token by token; the prompt comes from --prompt or standard input')
    .argument('<model>', 'folder or hub id owner/name')
    .addOption(weightedAdapterOption('PEFT adapter to apply; may be given several times, with weights'))
    .option('--prompt <text>', 'what to continue or answer; "" begins with the begin token')
    .option('--chat', "put the prompt into the model's chat template")
    .option('--system <text>', 'system message, with the chat template')
    .option('--max-new-tokens <n>', 'stop after so many tokens', wholeNumber, 128)
    .option('--temperature <t>', '0 is greedy', nonNegative, 0)
    .option('--top-p <p>', 'nucleus sampling', nonNegative, 1)
    .option('--top-k <k>', 'sample among the k likeliest; 0: all', nonNegative, 0)
    .option('--seed <n>', 'of the sampling', nonNegative, 0)
    .addOption(deviceOption().default('cpu'))
    .action(generate);
}

async function generate(source: string, options: GenerateOptions): Promise<void> {
  const prompt = options.prompt ?? readPrompt();
  const opened = await openModel({ model: source, adapters: options.adapter, device: options.device });
  const tokens = promptTokens(opened, prompt, options);
  const decoder = streamDecoder(opened.tokenizer);
  const { maxNewTokens, temperature, topP, topK, seed } = options;
  await opened.engine.generate(
    opened.params,
    tokens,
    {
      maxNewTokens,
      temperature,
      topP,
      topK,
      stopTokenIds: opened.model.eosTokenIds,
      seedPath: [seed, 'generate'],
    },
    (id) => process.stdout.write(opened.model.eosTokenIds.includes(id) ? '' : decoder.push(id)),
  );
  process.stdout.write(`${decoder.end()}\n`);
  await opened.close();
}

function readPrompt(): string {
  if (process.stdin.isTTY)
    throw new HeadwaterError('OPTION_INVALID', 'there is no prompt', {
      hint: 'Give --prompt "…", or pipe the prompt into this command.',
    });
  return readFileSync(0, 'utf8').replace(/\n$/, '');
}

function promptTokens(opened: OpenedModel, prompt: string, options: GenerateOptions): Int32Array {
  if (options.chat === true || options.system !== undefined)
    return chatTokens(opened, prompt, options.system);
  const tokens = opened.tokenizer.encode(prompt);
  if (tokens.length > 0) return tokens;
  const begin = opened.model.bosTokenId ?? opened.model.eosTokenIds[0];
  if (begin === undefined)
    throw new HeadwaterError('OPTION_INVALID', 'the prompt is empty and the model has no begin token', {
      hint: 'Give --prompt with some text.',
    });
  return Int32Array.of(begin);
}

function chatTokens(
  { chatTemplate, tokenizer, model }: OpenedModel,
  prompt: string,
  system?: string,
): Int32Array {
  if (chatTemplate === undefined)
    throw new HeadwaterError('OPTION_INVALID', 'the model has no chat template', {
      where: model.folder,
      hint: 'Leave --chat and --system away: the prompt is then continued as plain text.',
    });
  const messages = [
    ...(system === undefined ? [] : [{ role: 'system', content: system }]),
    { role: 'user', content: prompt },
  ];
  // The template writes the special tokens itself.
  return tokenizer.encode(chatTemplate.render(messages, { addGenerationPrompt: true }), {
    addSpecialTokens: false,
  });
}
