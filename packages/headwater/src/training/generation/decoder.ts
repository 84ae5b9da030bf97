/**
 * Sequences that grow token by token over one key-value cache: the model's side of generation. It feeds tokens and returns
 * logits; what is chosen from them is not its business. A sequence that begins like an earlier one starts from its rows.
 */

import { assert } from '../../base/errors.ts';
import { type Params, type Tensor, tensor } from '../../base/tensor.ts';
import { ANY } from '../../graph/ir.ts';
import { takesAnyCapacity } from '../../graph/ops/index.ts';
import type { ModelShape } from '../../models/model.ts';
import {
  CACHE_SIDES,
  type CacheSide,
  cacheInput,
  cacheOutput,
  needsReach,
  prefixOutput,
} from '../programs/decode.ts';
import type { Runner } from '../runner.ts';
import { withVirtualTokens } from '../virtual-tokens.ts';
import { createKeyValueCache } from './kv-cache.ts';
import { commonPrefix, pieceLength } from './pieces.ts';
import { capacityFor, emptySequences, gatherOpen, placeFor, type Sequence } from './sequences.ts';

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

/** Slots that run together: `tokens` [batchSize, length] from the first slot on, of which `numReal` a row are no padding. */
interface Piece {
  readonly firstSlot: number;
  readonly batchSize: number;
  readonly length: number;
  readonly numReal: number;
  readonly tokens: Int32Array;
}

export function createDecoder(
  runner: Runner,
  params: Params,
  model: ModelShape,
  { numSlots, maxTokens }: DecoderOptions,
): Decoder {
  const numPrefix = runner.virtual?.as === 'cache' ? runner.virtual.count : 0;
  const cache = createKeyValueCache(model, numSlots, capacityFor(numPrefix + 1, maxTokens));
  const sequences = emptySequences(numSlots);
  /** Elsewhere every capacity is a session of its own. */
  const anyCapacity = takesAnyCapacity(runner.kernels, model.headDim);
  const asksReach = needsReach(model, maxTokens);
  const isLong = (length: number) => asksReach && length > model.longContextAbove!;
  const lengthOf = (sequence: Sequence) => numPrefix + sequence.tokens.length;
  let prepared: Promise<void> | undefined;

  /** Keys and values that a kind puts before all sequences lie in every slot and are never overwritten. */
  async function prepare(): Promise<void> {
    if (numPrefix === 0) return;
    const prefix = await runner.prefix(params);
    forEachSide(model, (side, layer) => {
      for (let slot = 0; slot < numSlots; slot++)
        cache.write(
          side,
          layer,
          { slot, row: 0, count: numPrefix },
          prefix.get(prefixOutput(side, layer))!,
          0,
        );
    });
  }
  async function begin(sequence: Sequence, prompt: Int32Array): Promise<Opened> {
    prepared ??= prepare();
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
      const length = pieceLength(tokens.length - at);
      const part = tokens.subarray(at, at + length);
      const piece = { firstSlot: sequence.slot, batchSize: 1, length, numReal: part.length, tokens: part };
      logits = (await run([sequence], piece)) as typeof logits;
      sequence.tokens.push(...part);
      at += part.length;
    }
    return logits;
  }
  /** Room for the new rows, and not for many more: a step costs what there is room for. */
  function makeRoom(active: readonly Sequence[], numReal: number): void {
    const lengths = sequences.map((item) => (item.open ? lengthOf(item) : 0));
    const wanted = capacityFor(
      Math.max(...lengths, ...active.map((item) => lengthOf(item) + numReal)),
      maxTokens,
    );
    if (wanted <= cache.capacity() && 4 * wanted > cache.capacity()) return;
    cache.resize(wanted);
    for (const { tokens } of sequences) tokens.length = Math.min(tokens.length, wanted - numPrefix);
  }
  /** The sequences of the piece keep their new rows; what other slots compute is dropped. */
  async function run(active: readonly Sequence[], piece: Piece): Promise<Float32Array> {
    const { firstSlot, batchSize, length, numReal } = piece;
    makeRoom(active, numReal);
    const numPast = new Int32Array(batchSize).fill(numPrefix);
    const reach = new Int32Array(batchSize);
    for (const sequence of active) {
      numPast[sequence.slot - firstSlot] = lengthOf(sequence);
      // One number on either side of the switch: only the comparison is wanted.
      reach[sequence.slot - firstSlot] = sequence.long ? model.longContextAbove! + 1 : 0;
    }
    const feeds = pieceFeeds(piece, numPast);
    if (asksReach) feeds.set('reach', tensor('int32', [batchSize], reach));
    forEachSide(model, (side, layer) =>
      feeds.set(cacheInput(side, layer), cache.view(side, layer, firstSlot, batchSize)),
    );
    const capacity = anyCapacity ? ANY : cache.capacity();
    const shape = { batchSize, length, capacity, maxPositions: maxTokens };
    // Steps read all weights for few rows: they gain from a copy that was repacked for the kernels. Pieces of prompts do
    // not, and share the mapped file.
    const outputs = await runner.decode(params, shape, feeds, length === 1 ? {} : { prepack: false });
    forEachSide(model, (side, layer) => {
      const rows = outputs.get(cacheOutput(side, layer))!;
      for (const sequence of active) {
        const place = { slot: sequence.slot, row: lengthOf(sequence), count: numReal };
        cache.write(side, layer, place, rows, sequence.slot - firstSlot);
      }
    });
    return outputs.get('logits')!.data as Float32Array;
  }
  return {
    numSlots,
    open(prompt) {
      const tokens = withVirtualTokens(prompt, runner.virtual);
      assert(tokens.length > 0 && numPrefix + tokens.length <= maxTokens, 'a prompt that does not fit');
      const sequence = placeFor(tokens, isLong(numPrefix + tokens.length), sequences, cache, numPrefix);
      if (sequence === undefined) return undefined;
      sequence.open = true;
      return begin(sequence, tokens);
    },
    async step(active, ids) {
      for (const sequence of active) await grow(sequence);
      const batchSize = gatherOpen(active, sequences, cache, numPrefix);
      const tokens = new Int32Array(batchSize);
      for (const [i, { slot }] of active.entries()) tokens[slot] = ids[i]!;
      const logits = await run(active, { firstSlot: 0, batchSize, length: 1, numReal: 1, tokens });
      for (const [i, sequence] of active.entries()) sequence.tokens.push(ids[i]!);
      const V = logits.length / batchSize;
      return active.map(({ slot }) => logits.subarray(slot * V, (slot + 1) * V));
    },
    close(sequence) {
      sequence.open = false;
    },
    reset() {
      for (const sequence of sequences) Object.assign(sequence, { tokens: [], long: false, open: false });
      prepared = undefined;
    },
  };
}

function forEachSide({ numHiddenLayers }: ModelShape, visit: (side: CacheSide, layer: number) => void): void {
  for (let layer = 0; layer < numHiddenLayers; layer++) for (const side of CACHE_SIDES) visit(side, layer);
}

function pieceFeeds({ batchSize, length, numReal, tokens }: Piece, numPast: Int32Array): Map<string, Tensor> {
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
