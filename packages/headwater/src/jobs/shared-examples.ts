/**
 * Tokenized examples in shared memory: one physical copy for the main thread and all workers. It knows tokens, masks and classes,
 * no owners and no text.
 */

import type { TokenizedExample } from '../data/types.ts';

/** Sent to workers as it is; shared buffers are not copied. */
export interface SharedExamples {
  /** int32, all examples one after the other. */
  readonly tokens: SharedArrayBuffer;
  /** One byte a token. */
  readonly supervised: SharedArrayBuffer;
  /** float64 [count + 1]: where each example begins. */
  readonly offsets: SharedArrayBuffer;
  /** int32 [count]: the class of each example; −1: none. */
  readonly classIds: SharedArrayBuffer;
  /** Of pairs: the other answers, in the same order. */
  readonly rejected?: SharedExamples;
}

const NO_CLASS = -1;

/** Either all examples are pairs or none is. */
export function shareExamples(examples: readonly TokenizedExample[]): SharedExamples {
  const rejected = examples.flatMap(({ rejected }) => rejected ?? []);
  const shared = shareSequences(examples);
  return rejected.length === 0 ? shared : { ...shared, rejected: shareSequences(rejected) };
}

function shareSequences(examples: readonly TokenizedExample[]): SharedExamples {
  const total = examples.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const shared = {
    tokens: new SharedArrayBuffer(4 * total),
    supervised: new SharedArrayBuffer(total),
    offsets: new SharedArrayBuffer(8 * (examples.length + 1)),
    classIds: new SharedArrayBuffer(4 * examples.length),
  };
  const tokens = new Int32Array(shared.tokens);
  const supervised = new Uint8Array(shared.supervised);
  const offsets = new Float64Array(shared.offsets);
  const classIds = new Int32Array(shared.classIds);
  for (const [i, example] of examples.entries()) {
    const at = offsets[i]!;
    tokens.set(example.tokens, at);
    supervised.set(example.supervised, at);
    offsets[i + 1] = at + example.tokens.length;
    classIds[i] = example.classId ?? NO_CLASS;
  }
  return shared;
}

/** Views; nothing is copied. Labels and references are not kept. */
export function viewExamples(shared: SharedExamples): TokenizedExample[] {
  const tokens = new Int32Array(shared.tokens);
  const supervised = new Uint8Array(shared.supervised);
  const offsets = new Float64Array(shared.offsets);
  const classIds = new Int32Array(shared.classIds);
  const others = shared.rejected === undefined ? [] : viewExamples(shared.rejected);
  return Array.from({ length: offsets.length - 1 }, (_, i) => {
    const [begin, end] = [offsets[i]!, offsets[i + 1]!];
    const mask = supervised.subarray(begin, end);
    const classId = classIds[i]!;
    const hasClass = classId !== NO_CLASS;
    return {
      tokens: tokens.subarray(begin, end),
      supervised: mask,
      numTargets: mask.reduce((n, flag) => n + flag, hasClass ? 1 : 0),
      ...(hasClass ? { classId } : {}),
      ...(others[i] === undefined ? {} : { rejected: others[i] }),
    };
  });
}
