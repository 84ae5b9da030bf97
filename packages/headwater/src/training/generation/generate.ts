/**
 * Whole texts from prompts: over a key-value cache, many side by side, or by recomputing the sequence for each token. All
 * ways give the same tokens; the last exists to check the others. Knows token ids, no text.
 */

import { rng } from '../../base/random.ts';
import type { Params } from '../../base/tensor.ts';
import type { ModelShape } from '../../models/model.ts';
import type { Runner } from '../runner.ts';
import { sampleToken } from '../sampling.ts';
import { numVirtualTokens, withVirtualTokens } from '../virtual-tokens.ts';
import { createDecoder } from './decoder.ts';
import { checkRequest, createGenerator, type Generated, type GenerationRequest } from './generator.ts';
import type { GenerateOptions, OnToken } from './options.ts';
import { bucketLength } from './pieces.ts';

/** What generation needs of an engine; `shape` has the positions that are left for text. */
export interface GenerationSubject {
  readonly runner: Runner;
  readonly params: Params;
  readonly shape: ModelShape;
}

/**
 * One result for each request, in order, at most `batchSize` of them at a time.
 * Throws OPTION_INVALID for an empty prompt and when prompt and new tokens exceed the model's positions.
 */
export async function generateAll(
  { runner, params, shape }: GenerationSubject,
  requests: readonly GenerationRequest[],
  batchSize: number,
): Promise<Generated[]> {
  for (const request of requests) checkRequest(request, shape.maxPositionEmbeddings);
  const most = requests.reduce(
    (a, { prompt, options }) => Math.max(a, prompt.length + options.maxNewTokens),
    1,
  );
  const numVirtual = runner.virtual?.count ?? 0;
  // Few capacities: each is a session of its own.
  const maxTokens = Math.min(bucketLength(numVirtual + most), numVirtual + shape.maxPositionEmbeddings);
  const numSlots = Math.max(1, Math.min(batchSize, requests.length));
  const decoder = createDecoder(runner, params, shape, { numSlots, maxTokens });
  const generator = createGenerator(decoder, shape.maxPositionEmbeddings);
  const pending = requests.map((request) => generator.submit(request).done);
  const all = Promise.all(pending);
  // Whoever awaits the first failure below must not find the others unhandled.
  all.catch(() => undefined);
  while (!generator.isIdle()) await generator.step();
  return all;
}

/** The oracle: every step runs the whole sequence again. Without penalties and details. */
export async function generateRecomputed(
  { runner, params, shape }: GenerationSubject,
  prompt: Int32Array,
  options: GenerateOptions,
  onToken?: OnToken,
): Promise<Int32Array> {
  checkRequest({ prompt, options }, shape.maxPositionEmbeddings);
  const random = rng(...options.seedPath, 'generate');
  const sequence = [...prompt];
  while (sequence.length < prompt.length + options.maxNewTokens) {
    const logits = await sequenceLogits(runner, params, Int32Array.from(sequence));
    const end = (numVirtualTokens(runner.virtual) + sequence.length) * shape.vocabSize;
    const id = sampleToken(logits.subarray(end - shape.vocabSize, end), options, random);
    if (options.stopTokenIds.includes(id)) break;
    sequence.push(id);
    if (onToken?.(id, {}) === 'stop') break;
  }
  return Int32Array.from(sequence.slice(prompt.length));
}

/** Logits of every position of one sequence, first of its virtual tokens, [T', V]; rows after the last token are padding. */
export function sequenceLogits(runner: Runner, params: Params, text: Int32Array): Promise<Float32Array> {
  const tokens = withVirtualTokens(text, runner.virtual);
  const length = bucketLength(tokens.length);
  const padded = (values: ArrayLike<number>) => {
    const row = new Int32Array(length);
    row.set(values);
    return row;
  };
  return runner.logits(params, {
    batchSize: 1,
    length,
    tokens: padded(tokens),
    positions: Int32Array.from({ length }, (_, i) => Math.min(i, tokens.length - 1)),
    segments: padded(new Int32Array(tokens.length).fill(1)),
  });
}
