/**
 * Sequences that grow token by token over one key-value cache: the model's side of generation. It feeds tokens and returns
 * logits; what is chosen from them is not its business. A sequence that begins like an earlier one starts from its rows.
 */

import { assert } from '../../base/errors.ts';
import { type Params, type Tensor, tensor } from '../../base/tensor.ts';
import type { ModelShape } from '../../models/model.ts';
import { CACHE_SIDES, cacheInput, cacheOutput, needsReach, prefixOutput } from '../programs/decode.ts';
import type { Runner } from '../runner.ts';
import { withVirtualTokens } from '../virtual-tokens.ts';
import { createKeyValueCache, type KeyValueCache } from './kv-cache.ts';
import { commonPrefix, pieceLength } from './pieces.ts';

/** One sequence of a decoder; opaque to its users. */
export interface Sequence {
  /** Place in the cache; changes when sequences move together. */
  slot: number;
  /** What the cache holds of it, virtual tokens included. */
  tokens: number[];
  /** The rows are those of a sequence beyond the model's first context (`ModelShape.longContextAbove`). */
  long: boolean;
  open: boolean;
}

export interface Decoder {
  /** Sequences that can be open at once. */
  readonly numSlots: number;
  /** A free sequence for a prompt; undefined when all are open. Feeds the prompt and gives the logits [V] of its end. */
  open(prompt: Int32Array): Promise<Opened> | undefined;
  /** Feeds one token to each sequence; the logits [V] that follow, in the same order. */
  step(sequences: readonly Sequence[], ids: readonly number[]): Promise<Float32Array[]>;
  /** Gives its slot back; what it holds may serve a later prompt. */
  close(sequence: Sequence): void;
  /** Forgets everything, after a failure in the middle of a run. */
  reset(): void;
}

export interface Opened {
  readonly sequence: Sequence;
  readonly logits: Float32Array;
  /** Tokens of the prompt that were not computed again. */
  readonly numReused: number;
}

export interface DecoderOptions {
  readonly numSlots: number;
  /** Tokens that a sequence may have, virtual ones included. */
  readonly maxTokens: number;
}

export function createDecoder(
  runner: Runner,
  params: Params,
  model: ModelShape,
  { numSlots, maxTokens }: DecoderOptions,
): Decoder {
  const numPrefix = runner.virtual?.as === 'cache' ? runner.virtual.count : 0;
  const cache = createKeyValueCache(model, numSlots, maxTokens);
  const sequences = Array.from({ length: numSlots }, (_, slot): Sequence => {
    return { slot, tokens: [], long: false, open: false };
  });
  let prepared: Promise<void> | undefined;
  const lengthOf = (sequence: Sequence) => numPrefix + sequence.tokens.length;
  const asksReach = needsReach(model, maxTokens);
  const isLong = (length: number) => asksReach && length > model.longContextAbove!;

  async function begin(sequence: Sequence, prompt: Int32Array): Promise<Opened> {
    prepared ??= numPrefix === 0 ? Promise.resolve() : writePrefix(runner, params, model, cache);
    await prepared;
    const long = isLong(numPrefix + prompt.length);
    const numKnown = sequence.long === long ? commonPrefix(sequence.tokens, prompt) : 0;
    // The last token is always fed: somebody wants its logits.
    const numReused = Math.min(numKnown, prompt.length - 1);
    sequence.tokens.length = numReused;
    sequence.long = long;
    const logits = await feed(sequence, prompt.subarray(numReused));
    return { sequence, logits, numReused };
  }
  /** Where one more token makes it long, all its rows are computed anew. */
  async function grow(sequence: Sequence): Promise<void> {
    if (sequence.long || !isLong(lengthOf(sequence) + 1)) return;
    const tokens = Int32Array.from(sequence.tokens);
    Object.assign(sequence, { tokens: [], long: true });
    await feed(sequence, tokens);
  }
  async function feed(sequence: Sequence, tokens: Int32Array): Promise<Float32Array> {
    let logits = new Float32Array();
    for (let at = 0; at < tokens.length; ) {
      const length = pieceLength(tokens.length - at, maxTokens - lengthOf(sequence));
      const piece = tokens.subarray(at, at + length);
      const numPast = Int32Array.of(lengthOf(sequence));
      const long = [sequence.long];
      logits = (await run(sequence.slot, 1, length, piece, numPast, piece.length, long)) as typeof logits;
      sequence.tokens.push(...piece);
      at += piece.length;
    }
    return logits;
  }
  async function run(
    firstSlot: number,
    batchSize: number,
    length: number,
    tokens: Int32Array,
    numPast: Int32Array,
    numReal: number,
    long: readonly boolean[],
  ): Promise<Float32Array> {
    const feeds = pieceFeeds(batchSize, length, tokens, numPast, numReal);
    if (asksReach) feeds.set('reach', tensor('int32', [batchSize], reaches(long, model)));
    const into = new Map<string, Tensor>();
    for (let layer = 0; layer < model.numHiddenLayers; layer++)
      for (const side of CACHE_SIDES) {
        const view = cache.view(side, layer, firstSlot, batchSize);
        feeds.set(cacheInput(side, layer), view);
        into.set(cacheOutput(side, layer), view);
      }
    // Steps read all weights for few rows: they gain from a copy that was repacked for the kernels. Pieces of prompts do
    // not, and share the mapped file.
    const shape = { batchSize, length, capacity: maxTokens };
    const outputs = await runner.decode(params, shape, feeds, into, length === 1 ? {} : { prepack: false });
    return outputs.get('logits')!.data as Float32Array;
  }
  /** Open sequences move to the first slots when a smaller batch then holds them all. */
  function gather(active: readonly Sequence[]): number {
    const batchSize = bucketOf(active.length, numSlots);
    for (const sequence of active) {
      if (sequence.slot < batchSize) continue;
      const other = sequences.find((candidate) => !candidate.open && candidate.slot < batchSize)!;
      cache.copySlot(sequence.slot, other.slot, lengthOf(sequence));
      [sequence.slot, other.slot] = [other.slot, sequence.slot];
      other.tokens = [];
    }
    return batchSize;
  }
  return {
    numSlots,
    open(prompt) {
      const tokens = withVirtualTokens(prompt, runner.virtual);
      assert(tokens.length > 0 && numPrefix + tokens.length <= maxTokens, 'a prompt that does not fit');
      const long = isLong(numPrefix + tokens.length);
      const sequence = placeFor(tokens, long, sequences, cache, numPrefix);
      if (sequence === undefined) return undefined;
      sequence.open = true;
      return begin(sequence, tokens);
    },
    async step(active, ids) {
      for (const sequence of active) await grow(sequence);
      const batchSize = gather(active);
      const tokens = new Int32Array(batchSize);
      const long = new Array<boolean>(batchSize).fill(false);
      const numPast = new Int32Array(batchSize);
      // Slots in between compute something too; what they write lies behind the rows that they may be reused for.
      for (const { slot, tokens: held } of sequences)
        if (slot < batchSize) numPast[slot] = Math.min(numPrefix + held.length, maxTokens - 1);
      for (const [i, { slot }] of active.entries()) tokens[slot] = ids[i]!;
      for (const sequence of active) long[sequence.slot] = sequence.long;
      const logits = await run(0, batchSize, 1, tokens, numPast, 1, long);
      for (const [i, sequence] of active.entries()) sequence.tokens.push(ids[i]!);
      const V = logits.length / batchSize;
      return active.map(({ slot }) => logits.subarray(slot * V, (slot + 1) * V));
    },
    close(sequence) {
      sequence.open = false;
      // The last row of a full slot may be overwritten by a batch that passes over it.
      sequence.tokens.length = Math.min(sequence.tokens.length, maxTokens - 1 - numPrefix);
    },
    reset() {
      for (const sequence of sequences) Object.assign(sequence, { tokens: [], long: false, open: false });
      prepared = undefined;
    },
  };
}

/** One number on either side of the switch: only the comparison is wanted. */
function reaches(long: readonly boolean[], { longContextAbove = 0 }: ModelShape): Int32Array {
  return Int32Array.from(long, (yes) => (yes ? longContextAbove + 1 : 0));
}

/** Each batch size is a session with its own repacked weights: one sequence, a few, all. */
function bucketOf(count: number, most: number): number {
  if (count === 1) return 1;
  return count <= A_FEW ? Math.min(A_FEW, most) : most;
}

const A_FEW = 8;

/** Copying the rows of another sequence pays from so many on. */
const WORTH_COPYING = 8;

/** The free sequence that already begins as the prompt does; otherwise a free one that takes over an open one's rows. */
function placeFor(
  prompt: Int32Array,
  long: boolean,
  sequences: readonly Sequence[],
  cache: KeyValueCache,
  numPrefix: number,
): Sequence | undefined {
  const shared = (sequence: Sequence) => (sequence.long === long ? commonPrefix(sequence.tokens, prompt) : 0);
  const free = sequences.filter(({ open }) => !open);
  if (free.length === 0) return undefined;
  const best = free.reduce((a, b) => (shared(b) > shared(a) ? b : a));
  const source = sequences.reduce((a, b) => (shared(b) > shared(a) ? b : a));
  if (shared(source) < shared(best) + WORTH_COPYING)
    return shared(best) > 0 ? best : free.reduce((a, b) => (b.tokens.length < a.tokens.length ? b : a));
  const target = free.reduce((a, b) => (b.tokens.length < a.tokens.length ? b : a));
  cache.copySlot(source.slot, target.slot, numPrefix + shared(source));
  Object.assign(target, { tokens: source.tokens.slice(0, shared(source)), long });
  return target;
}

/** Keys and values that a kind puts before all sequences lie in every slot and are never overwritten. */
async function writePrefix(
  runner: Runner,
  params: Params,
  model: ModelShape,
  cache: KeyValueCache,
): Promise<void> {
  const rows = await runner.prefix(params);
  for (let layer = 0; layer < model.numHiddenLayers; layer++)
    for (const side of CACHE_SIDES)
      for (let slot = 0; slot < cache.numSlots; slot++)
        cache.writeFirst(side, layer, slot, rows.get(prefixOutput(side, layer))!);
}

function pieceFeeds(
  batchSize: number,
  length: number,
  tokens: Int32Array,
  numPast: Int32Array,
  numReal: number,
): Map<string, Tensor> {
  const padded = new Int32Array(batchSize * length);
  padded.set(tokens);
  // Padding repeats the last position: there may be none after it.
  const positions = padded.map(
    (_, i) => numPast[Math.floor(i / length)]! + Math.min(i % length, numReal - 1),
  );
  const last = Int32Array.from({ length: batchSize }, (_, row) => row * length + numReal - 1);
  return new Map<string, Tensor>([
    ['tokens', tensor('int32', [batchSize, length], padded)],
    ['positions', tensor('int32', [batchSize, length], positions)],
    ['numPast', tensor('int32', [batchSize], numPast)],
    ['last', tensor('int32', [batchSize], last)],
  ]);
}
