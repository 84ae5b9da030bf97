/** Many texts from prompts with settings of their own, as evaluation wants them: tokens in, texts out, in order. */

import type { Params } from '../../base/tensor.ts';
import type { Tokenizer } from '../../models/tokenizer.ts';
import type { Engine } from '../engine.ts';
import type { Decoding } from '../tasks/task.ts';
import { runToEnd, submitText } from './text.ts';

export interface PreparedPrompt {
  readonly tokens: Int32Array;
  /** The text goes on where the prompt ends; otherwise it is an answer of its own. */
  readonly continues: boolean;
  readonly decoding: Decoding;
  /** A token of these ends the text. */
  readonly stopTokenIds: readonly number[];
  readonly seedPath: readonly (string | number)[];
}

export interface Writer {
  readonly engine: Pick<Engine, 'openGenerator'>;
  readonly tokenizer: Tokenizer;
  readonly params: Params;
}

/** `maxTokens`: of prompt and text together, the same for all jobs of a set so that they share sessions. */
export async function writeTexts(
  { engine, tokenizer, params }: Writer,
  prompts: readonly PreparedPrompt[],
  { batchSize, maxTokens }: { readonly batchSize: number; readonly maxTokens: number },
): Promise<string[]> {
  if (prompts.length === 0) return [];
  const generator = engine.openGenerator(params, { batchSize, maxTokens });
  const pending = prompts.map(({ tokens, continues, decoding, stopTokenIds, seedPath }) => {
    const { stop, ...sampling } = decoding;
    const options = { ...sampling, stopTokenIds, seedPath };
    return submitText(generator, tokenizer, { prompt: tokens, options, stop, continues }).done;
  });
  const all = Promise.all(pending);
  // Whoever awaits the first failure below must not find the others unhandled.
  all.catch(() => undefined);
  await runToEnd(generator);
  return (await all).map(({ text }) => text);
}
