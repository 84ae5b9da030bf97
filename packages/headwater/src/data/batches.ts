/**
 * Tokenized examples → batches of static shape. Few shapes, because each one costs a session; the order is a pure
 * function of the input. It knows no randomness: shuffle before.
 */

import { assert } from '../base/errors.ts';
import type { Batch, TokenizedExample } from './types.ts';

export interface BatchShape {
  /** B. */
  readonly batchSize: number;
  /** T. */
  readonly length: number;
}

export interface BatchOptions {
  /** Rows of a batch; without packing also examples. */
  readonly batchSize: number;
  readonly maxLength: number;
  /** Put several examples into one row (isolated by segments). */
  readonly packing?: boolean;
  /** `given`: batches follow the order of the input; `length`: sorted by length first (evaluation). */
  readonly order?: 'given' | 'length';
}

/** The next of 16, 24, 32, 40 … 64, 96, 128, 192 … that holds `length`, at most maxLength. */
export function lengthBucket(length: number, maxLength: number): number {
  assert(length <= maxLength, `a sequence of ${length} tokens exceeds maxLength ${maxLength}`);
  if (length <= 64) return Math.min(Math.max(16, 8 * Math.ceil(length / 8)), maxLength);
  for (let size = 64; ; size *= 2) {
    if (length <= size * 1.5) return Math.min(size * 1.5, maxLength);
    if (length <= size * 2) return Math.min(size * 2, maxLength);
  }
}

/** Target slots M: a sixteenth, a quarter or all of B·T, whichever first holds the targets. Few, as each M costs a session. */
export function targetBucket(numTargets: number, { batchSize, length }: BatchShape): number {
  const rows = batchSize * length;
  for (const divisor of [16, 4]) {
    const slots = Math.ceil(rows / divisor);
    if (numTargets <= slots) return slots;
  }
  return rows;
}

/** All examples in batches; each example in exactly one. */
export function makeBatches(examples: readonly TokenizedExample[], options: BatchOptions): Batch[] {
  const { batchSize, maxLength, packing = false, order = 'given' } = options;
  const indices = examples.map((_, index) => index);
  if (order === 'length') indices.sort((a, b) => lengthOf(examples, a) - lengthOf(examples, b) || a - b);
  const rows = packing ? packRows(examples, indices, maxLength) : indices.map((index) => [index]);
  const batches: Batch[] = [];
  for (let start = 0; start < rows.length; start += batchSize) {
    const taken = rows.slice(start, start + batchSize);
    const longest = Math.max(...taken.map((row) => rowLength(examples, row)));
    batches.push(
      fillBatch(examples, taken, {
        batchSize: packing ? rowBucket(taken.length, batchSize) : batchSize,
        length: lengthBucket(longest, maxLength),
      }),
    );
  }
  return batches;
}

/** One batch of exactly this shape, one example a row; missing rows are padding. */
export function batchOf(
  examples: readonly TokenizedExample[],
  shape: BatchShape & { readonly targetSlots?: number },
): Batch {
  return fillBatch(
    examples,
    examples.map((_, index) => [index]),
    shape,
  );
}

/** Rows as lists of example indices (segments in this order). `targetSlots` defaults to the bucket. */
export function fillBatch(
  examples: readonly TokenizedExample[],
  rows: readonly (readonly number[])[],
  shape: BatchShape & { readonly targetSlots?: number },
): Batch {
  const exampleIndices = rows.flat();
  const numTargets = exampleIndices.reduce((n, index) => n + countTargets(at(examples, index)), 0);
  const targetSlots = shape.targetSlots ?? targetBucket(numTargets, shape);
  assert(rows.length <= shape.batchSize, `${rows.length} rows do not fit a batch of ${shape.batchSize}`);
  assert(numTargets <= targetSlots, `${numTargets} targets do not fit ${targetSlots} slots`);
  const numTokens = rows.reduce((n, row) => n + rowLength(examples, row), 0);
  const batch = emptyBatch(shape, targetSlots, { numTargets, numTokens, exampleIndices });
  let slot = 0;
  rows.forEach((row, b) => {
    assert(rowLength(examples, row) <= shape.length, `row ${b} exceeds ${shape.length} tokens`);
    let start = b * shape.length;
    row.forEach((index, segment) => {
      slot = place(batch, at(examples, index), index, start, segment + 1, slot);
      start += lengthOf(examples, index);
    });
  });
  return batch;
}

function emptyBatch(
  { batchSize, length }: BatchShape,
  targetSlots: number,
  counts: Pick<Batch, 'numTargets' | 'numTokens' | 'exampleIndices'>,
): Batch {
  return {
    batchSize,
    length,
    tokens: new Int32Array(batchSize * length),
    positions: new Int32Array(batchSize * length),
    segments: new Int32Array(batchSize * length),
    targetIndex: new Int32Array(targetSlots),
    targetIds: new Int32Array(targetSlots),
    targetMask: new Float32Array(targetSlots),
    targetExample: new Int32Array(targetSlots).fill(-1),
    ...counts,
  };
}

/** Writes one example from flat position `start` on; returns the next free target slot. */
function place(
  batch: Batch,
  example: TokenizedExample,
  index: number,
  start: number,
  segment: number,
  firstSlot: number,
): number {
  let slot = firstSlot;
  example.tokens.forEach((token, i) => {
    batch.tokens[start + i] = token;
    batch.positions[start + i] = i;
    batch.segments[start + i] = segment;
    if (i > 0 && example.supervised[i] === 1) fillSlot(batch, slot++, start + i - 1, token, index);
  });
  if (example.classId !== undefined) fillSlot(batch, slot++, start, example.classId, index);
  return slot;
}

function fillSlot(batch: Batch, slot: number, row: number, id: number, example: number): void {
  batch.targetIndex[slot] = row;
  batch.targetIds[slot] = id;
  batch.targetMask[slot] = 1;
  batch.targetExample[slot] = example;
}

/** First-fit decreasing: longest first, each into the first row with room; rows stay in order of creation. */
export function packRows(
  examples: readonly TokenizedExample[],
  indices: readonly number[],
  length: number,
): number[][] {
  const order = [...indices].sort((a, b) => lengthOf(examples, b) - lengthOf(examples, a) || a - b);
  const rows: number[][] = [];
  const room: number[] = [];
  for (const index of order) {
    const needed = lengthOf(examples, index);
    const found = room.findIndex((free) => free >= needed);
    if (found < 0) {
      rows.push([index]);
      room.push(length - needed);
    } else {
      (rows[found] as number[]).push(index);
      room[found] = (room[found] as number) - needed;
    }
  }
  return rows;
}

/** Rows of a packed batch: the next power of two, at most batchSize. */
function rowBucket(rows: number, batchSize: number): number {
  return Math.min(batchSize, 2 ** Math.ceil(Math.log2(rows)));
}

function at(examples: readonly TokenizedExample[], index: number): TokenizedExample {
  const example = examples[index];
  assert(example !== undefined, `no example ${index}`);
  return example;
}

function lengthOf(examples: readonly TokenizedExample[], index: number): number {
  return at(examples, index).tokens.length;
}

function rowLength(examples: readonly TokenizedExample[], row: readonly number[]): number {
  return row.reduce((sum, index) => sum + lengthOf(examples, index), 0);
}

/** A sequence's first token has no context to be predicted from. */
function countTargets({ supervised, classId }: TokenizedExample): number {
  const ofSequence = classId === undefined ? 0 : 1;
  return supervised.reduce((sum, flag, i) => sum + (i > 0 ? flag : 0), ofSequence);
}
