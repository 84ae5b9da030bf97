/**
 * Generation token by token, over a key-value cache or by recomputing the sequence. Both give the same tokens; the
 * second exists to check the first. Knows token ids, no text.
 */

import { HeadwaterError } from '../base/errors.ts';
import { rng } from '../base/random.ts';
import { type Params, type Tensor, tensor } from '../base/tensor.ts';
import type { ModelShape } from '../models/model.ts';
import type { GenerateOptions } from './engine.ts';
import { CACHE_SIDES, cacheInput, cacheOutput } from './programs/decode.ts';
import type { Runner } from './runner.ts';
import { sampleToken } from './sampling.ts';
import { numVirtualTokens, withVirtualTokens } from './virtual-tokens.ts';

/** Logits [V] of the token after everything fed so far, given the next piece of the sequence. */
export type NextLogits = (tokens: Int32Array) => Promise<Float32Array>;

/**
 * The new tokens, without the prompt; a stop token ends the text and is not part of it.
 * Throws OPTION_INVALID for an empty prompt and when prompt and new tokens exceed the model's positions.
 */
export async function generateTokens(
  next: NextLogits,
  model: ModelShape,
  prompt: Int32Array,
  options: GenerateOptions,
  onToken?: (id: number) => void,
): Promise<Int32Array> {
  checkPrompt(model, prompt, options.maxNewTokens);
  const random = rng(...options.seedPath, 'generate');
  const stops = new Set(options.stopTokenIds);
  const result: number[] = [];
  let piece = prompt;
  while (result.length < options.maxNewTokens) {
    const id = sampleToken(await next(piece), options, random);
    if (stops.has(id)) break;
    result.push(id);
    onToken?.(id);
    piece = Int32Array.of(id);
  }
  return Int32Array.from(result);
}

function checkPrompt(model: ModelShape, prompt: Int32Array, maxNewTokens: number): void {
  if (prompt.length === 0)
    throw new HeadwaterError('OPTION_INVALID', 'the prompt has no tokens', {
      hint: 'Give at least one token; models with a begin token start from it.',
    });
  const { maxPositionEmbeddings } = model;
  if (prompt.length + maxNewTokens > maxPositionEmbeddings)
    throw new HeadwaterError(
      'OPTION_INVALID',
      `prompt (${prompt.length} tokens) and ${maxNewTokens} new tokens exceed the ${maxPositionEmbeddings} positions that the model has for text`,
      { hint: `Ask for at most ${Math.max(0, maxPositionEmbeddings - prompt.length)} new tokens.` },
    );
}

/** Lengths come in powers of two from 16, so that few sessions serve all texts. */
export function bucketLength(length: number): number {
  let bucket = 16;
  while (bucket < length) bucket *= 2;
  return bucket;
}

/** The oracle: every step runs the whole sequence again. */
export function recomputedLogits(runner: Runner, params: Params, model: ModelShape): NextLogits {
  let sequence: number[] = [];
  return async (tokens) => {
    sequence = [...sequence, ...tokens];
    const logits = await sequenceLogits(runner, params, Int32Array.from(sequence));
    const end = (numVirtualTokens(runner.virtual) + sequence.length) * model.vocabSize;
    return logits.subarray(end - model.vocabSize, end);
  };
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

interface Cache {
  /** C, rows that fit. */
  readonly capacity: number;
  /** Input name → [1, K, C, Dh]. */
  readonly tensors: ReadonlyMap<string, Tensor<'float32'>>;
}

const FIRST_CAPACITY = 64;

/** Keeps keys and values of all past tokens; capacity doubles when they fill it. */
export function cachedLogits(runner: Runner, params: Params, model: ModelShape): NextLogits {
  let cache: Cache = { capacity: 0, tensors: new Map() };
  let numPast = 0;
  const feed = async (tokens: Int32Array, length: number): Promise<Float32Array> => {
    const shape = { length, capacity: cache.capacity };
    const outputs = await runner.decode(params, shape, pieceFeeds(tokens, length, numPast, cache.tensors));
    cache = withRoom(cache, numPast, numPast + tokens.length, model);
    keepRows(cache, outputs, numPast, tokens.length, length, model);
    numPast += tokens.length;
    return outputs.get('logits')!.data as Float32Array;
  };
  /** A kind may have keys and values that come before all tokens. */
  const begin = async (): Promise<void> => {
    if (runner.virtual?.as !== 'cache') return;
    const { count } = runner.virtual;
    cache = withRoom(cache, 0, count, model);
    keepRows(cache, await runner.prefix(params), 0, count, count, model);
    numPast = count;
  };
  let isPrompt = true;
  return async (tokens) => {
    if (isPrompt) {
      isPrompt = false;
      await begin();
      const prompt = withVirtualTokens(tokens, runner.virtual);
      return feed(prompt, bucketLength(prompt.length));
    }
    let logits = new Float32Array();
    for (const id of tokens) logits = (await feed(Int32Array.of(id), 1)) as typeof logits;
    return logits;
  };
}

function pieceFeeds(
  tokens: Int32Array,
  length: number,
  numPast: number,
  caches: ReadonlyMap<string, Tensor>,
): Map<string, Tensor> {
  const padded = new Int32Array(length);
  padded.set(tokens);
  // Padding repeats the last position: there may be none after it.
  const positions = Int32Array.from({ length }, (_, i) => numPast + Math.min(i, tokens.length - 1));
  return new Map<string, Tensor>([
    ['tokens', tensor('int32', [1, length], padded)],
    ['positions', tensor('int32', [1, length], positions)],
    ['numPast', tensor('int32', [1], Int32Array.of(numPast))],
    ['last', tensor('int32', [1], Int32Array.of(tokens.length - 1))],
    ...caches,
  ]);
}

/** A cache with room for `needed` rows, with the `filled` rows of the old one. */
function withRoom(cache: Cache, filled: number, needed: number, model: ModelShape): Cache {
  if (needed <= cache.capacity) return cache;
  let capacity = Math.max(FIRST_CAPACITY, cache.capacity);
  while (capacity < needed) capacity *= 2;
  const { numKeyValueHeads: K, headDim: Dh, numHiddenLayers } = model;
  const tensors = new Map<string, Tensor<'float32'>>();
  for (let layer = 0; layer < numHiddenLayers; layer++)
    for (const side of CACHE_SIDES) {
      const name = cacheInput(side, layer);
      const grown = new Float32Array(K * capacity * Dh);
      const old = cache.tensors.get(name)?.data;
      if (old !== undefined) copyRows(old, cache.capacity, grown, capacity, 0, filled, model);
      tensors.set(name, tensor('float32', [1, K, capacity, Dh], grown));
    }
  return { capacity, tensors };
}

function keepRows(
  cache: Cache,
  outputs: ReadonlyMap<string, Tensor>,
  at: number,
  count: number,
  length: number,
  model: ModelShape,
): void {
  for (let layer = 0; layer < model.numHiddenLayers; layer++)
    for (const side of CACHE_SIDES) {
      const rows = outputs.get(cacheOutput(side, layer))!.data as Float32Array;
      const target = cache.tensors.get(cacheInput(side, layer))!.data;
      copyRows(rows, length, target, cache.capacity, at, count, model);
    }
}

/** The first `count` of `fromRows` rows of each head go to row `at` of `toRows`. */
function copyRows(
  from: Float32Array,
  fromRows: number,
  to: Float32Array,
  toRows: number,
  at: number,
  count: number,
  { numKeyValueHeads, headDim }: ModelShape,
): void {
  for (let head = 0; head < numKeyValueHeads; head++) {
    const start = head * fromRows * headDim;
    to.set(from.subarray(start, start + count * headDim), (head * toRows + at) * headDim);
  }
}
