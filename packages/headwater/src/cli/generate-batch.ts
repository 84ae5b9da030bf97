/** `headwater generate --batch-file`: rows of a JSON lines file in, the same rows with a completion out, side by side. */

import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import { storageError } from '../base/io-errors.ts';
import { chatTokens, endTokens, textTokens } from '../models/prompt-tokens.ts';
import type { GenerateOptions } from '../training/engine.ts';
import { runToEnd, submitText } from '../training/generation/text.ts';
import type { OpenedModel } from './open-model.ts';

export interface BatchOptions {
  readonly file: string;
  readonly batchSize: number;
  readonly stop: readonly string[];
  /** Of the n-th row, for a prompt that ends with the given tokens. */
  readonly options: (row: number, stopTokenIds: readonly number[]) => GenerateOptions;
}

const message = z.object({ role: z.string(), content: z.string() });
const row = z.union([
  z.looseObject({ messages: z.array(message).min(1) }),
  z.looseObject({ prompt: z.string() }),
]);

/** A row has `prompt` (text to continue) or `messages` (a chat); its last answer, if it has one, is the one to write. */
export async function generateBatch(opened: OpenedModel, options: BatchOptions): Promise<void> {
  const rows = await readRows(options.file);
  const prompts = rows.map((item) => {
    if (!('messages' in item)) return { tokens: textTokens(opened, item.prompt as string), continues: true };
    const messages = item.messages as z.output<typeof message>[];
    const asked = messages.at(-1)!.role === 'assistant' ? messages.slice(0, -1) : messages;
    return { tokens: chatTokens(opened, asked), continues: false };
  });
  const own = opened.model.eosTokenIds;
  const settings = prompts.map(({ continues }, i) => options.options(i, continues ? own : endTokens(opened)));
  const maxTokens = prompts.reduce((most, { tokens }, i) => {
    return Math.max(most, tokens.length + settings[i]!.maxNewTokens);
  }, 1);
  const generator = opened.engine.openGenerator(opened.params, { batchSize: options.batchSize, maxTokens });
  const pending = prompts.map(({ tokens, continues }, i) => {
    const request = { prompt: tokens, options: settings[i]!, stop: options.stop, continues };
    return submitText(generator, opened.tokenizer, request).done;
  });
  const all = Promise.all(pending);
  all.catch(() => undefined);
  // Rows are written in the order of the file, each as soon as those before it are done.
  const written = (async () => {
    for (const [i, item] of rows.entries()) {
      const { text, reason } = await pending[i]!;
      process.stdout.write(`${JSON.stringify({ ...item, generated: text, finishReason: reason })}\n`);
    }
  })();
  written.catch(() => undefined);
  await runToEnd(generator);
  await written;
}

async function readRows(file: string): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  let number = 0;
  const lines = createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY });
  try {
    for await (const line of lines) {
      number++;
      if (line.trim() !== '') rows.push(parseRow(line, `${file}:${number}`));
    }
  } catch (cause) {
    throw storageError(cause, 'read the prompts', file, 'DATA_NOT_FOUND');
  }
  if (rows.length > 0) return rows;
  throw new HeadwaterError('DATA_INVALID', 'there are no prompts', { where: file });
}

function parseRow(line: string, where: string): Record<string, unknown> {
  const hint = 'Every line is {"prompt": "…"} or {"messages": [{"role": "user", "content": "…"}]}.';
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new HeadwaterError('DATA_INVALID', 'no valid JSON', { where, cause, hint });
  }
  const result = row.safeParse(value);
  if (result.success) return result.data;
  throw new HeadwaterError('DATA_INVALID', 'a row needs a prompt or messages', { where, hint });
}
