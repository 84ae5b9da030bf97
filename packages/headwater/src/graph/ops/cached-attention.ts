/**
 * Attention of new tokens over themselves and over a cache of earlier keys and values: what generation runs once a layer
 * and token. On CPU it is ONNX Runtime's grouped-query kernel, which looks at the filled rows only. The cache stays the
 * caller's, who adds the new rows to it. Forward only: nothing is trained through a cache.
 *
 * B rows, H heads, K key-value heads, T new tokens, C rows of the cache, Dh head dim.
 */

import { assert } from '../../base/errors.ts';
import { type TensorType, tensor } from '../../base/tensor.ts';
import { ANY, apply, defineOp, type KernelSet, type OnnxContext, type RefTensor, type Value } from '../ir.ts';
import { at, refTensor } from '../ref-array.ts';

export interface CachedAttentionAttrs {
  /** Score multiplier. */
  readonly scale: number;
  /** Sliding window in tokens: the query at index i sees keys j > i − window. Omitted: all before it. */
  readonly window?: number;
  /** Scores s become c · tanh(s / c) before the mask. */
  readonly softCap?: number;
}

/** An index type: closed over the names above, which an interface is not. */
type Attrs = Readonly<Record<string, unknown>> & CachedAttentionAttrs;

/** Finite, as in other masks of the house. */
const MASKED = -1e30;

const CACHED_ATTENTION = defineOp<Attrs>({
  id: 'cachedAttention',
  infer: (inputs) => {
    const [q, k, v, pastK, pastV, numPast] = six(inputs);
    const [B, H, T, Dh] = q.shape as [number, number, number, number];
    const [, K, C] = pastK.shape as [number, number, number];
    assert(H % K === 0, `${H} heads over ${K} key-value heads`);
    for (const rows of [k, v]) assert(rows.shape.join() === [B, K, T, Dh].join(), `new rows [${rows.shape}]`);
    for (const past of [pastK, pastV])
      assert(past.shape.join() === [B, K, C, Dh].join(), `cache [${past.shape}] for [${q.shape}]`);
    assert(numPast.dtype === 'int32' && numPast.shape.join() === String(B), `numPast [${numPast.shape}]`);
    return [q];
  },
  vjp: { nonDifferentiable: 'a cache is for generation' },
  onnx: (c, attrs) => (c.kernels === 'cpu' && fitsKernel(c) ? kernel(c, attrs) : primitives(c, attrs)),
  reference: (inputs, attrs, outputs) => {
    const [q, k, v, pastK, pastV, numPast] = six(inputs);
    const [keys, values] = [joined(pastK, k, numPast), joined(pastV, v, numPast)];
    return [attended(q, keys, values, numPast, attrs, outputs[0] as TensorType)];
  },
});

/** The kernel wants heads in multiples of eight and takes several new tokens for one row only. */
function fitsKernel(c: OnnxContext): boolean {
  const [B, , T, Dh] = shapeOf(c, 0);
  return Dh % HEAD_STEP === 0 && (B === 1 || T === 1);
}

const HEAD_STEP = 8;

/** Whether caches of any length can be fed (C = ANY), for one row or one token a row. */
export function takesAnyCapacity(kernels: KernelSet, headDim: number): boolean {
  return kernels === 'cpu' && headDim % HEAD_STEP === 0;
}

function kernel(c: OnnxContext, { scale, window, softCap }: Attrs): readonly string[] {
  const [q, k, v, pastK, pastV, numPast] = six(c.inputs);
  const [B, H, T, Dh] = shapeOf(c, 0);
  const K = shapeOf(c, 1)[1];
  const rows = (x: string, heads: number) => {
    const [byToken] = c.emit('Transpose', [x], { perm: { ints: [0, 2, 1, 3] } });
    return c.emit('Reshape', [byToken, c.ints([B, T, heads * Dh])])[0];
  };
  const int = (value: number) => c.constant(tensor('int32', [1], Int32Array.of(value)));
  const [lastIndex] = c.emit('Add', [numPast, int(T - 1)]);
  const [largest] = c.emit('ReduceMax', [lastIndex, c.ints([0])], { keepdims: { int: 1 } });
  const [total] = c.emit('Add', [largest, int(1)]);
  const attributes = {
    num_heads: { int: H },
    kv_num_heads: { int: K },
    scale: { float: scale },
    ...(window === undefined ? {} : { local_window_size: { int: window } }),
    ...(softCap === undefined ? {} : { softcap: { float: softCap } }),
  };
  const inputs = [rows(q, H), rows(k, K), rows(v, K), pastK, pastV, lastIndex, total];
  const options = { domain: 'com.microsoft', outputs: 3 };
  // The other outputs are the caches with the new rows, which the caller has already.
  const [mixed] = c.emit('GroupQueryAttention', inputs, attributes, options);
  const [split] = c.emit('Reshape', [mixed, c.ints([B, T, H, Dh])]);
  const [byHead] = c.emit('Transpose', [split], { perm: { ints: [0, 2, 1, 3] } });
  return [byHead];
}

/** Scores over the cache and over the new tokens are made apart and share one softmax: the cache is not copied. */
function primitives(c: OnnxContext, attrs: Attrs): readonly string[] {
  const [q, k, v, pastK, pastV, numPast] = six(c.inputs);
  const [B, H, T, Dh] = shapeOf(c, 0);
  const [, K, C] = shapeOf(c, 3);
  assert(C !== ANY, 'the portable form needs the length of the cache');
  const emit = (op: string, ...inputs: string[]) => c.emit(op, inputs)[0];
  const range = (count: number, start: number, shape: readonly number[]) =>
    c.constant(
      tensor(
        'int32',
        shape,
        Int32Array.from({ length: count }, (_, i) => start + i),
      ),
    );
  const past = emit('Reshape', numPast, c.ints([B, 1, 1, 1]));
  const index = emit('Add', past, range(T, 0, [1, 1, T, 1]));
  const near = (keys: string) =>
    attrs.window === undefined
      ? undefined
      : emit('Greater', keys, emit('Sub', index, range(1, attrs.window, [1])));
  const masked = (seen: string, keys: string) => {
    const close = near(keys);
    return emit(
      'Where',
      close === undefined ? seen : emit('And', seen, close),
      c.scalar(0),
      c.scalar(MASKED),
    );
  };
  const cached = range(C, 0, [1, 1, 1, C]);
  const fresh = emit('Add', past, range(T, 0, [1, 1, 1, T]));
  // All new tokens but later ones; of the cache what is filled, for every one of them.
  const filled = emit('And', emit('Less', cached, past), emit('LessOrEqual', cached, index));
  const grouped = emit('Reshape', q, c.ints([B, K, (H / K) * T, Dh]));
  const scores = (keys: string, count: number, mask: string) => {
    const [transposed] = c.emit('Transpose', [keys], { perm: { ints: [0, 1, 3, 2] } });
    const products = emit('Mul', emit('MatMul', grouped, transposed), c.scalar(attrs.scale));
    return emit('Add', emit('Reshape', capped(c, products, attrs), c.ints([B, H, T, count])), mask);
  };
  const parts = [
    scores(pastK, C, masked(filled, cached)),
    scores(k, T, masked(emit('LessOrEqual', fresh, index), fresh)),
  ];
  const [all] = c.emit('Concat', parts, { axis: { int: -1 } });
  const [weights] = c.emit('Softmax', [all], { axis: { int: -1 } });
  const mixed = (values: string, start: number, end: number) => {
    const part = emit('Slice', weights, c.ints([start]), c.ints([end]), c.ints([3]));
    return emit('MatMul', emit('Reshape', part, c.ints([B, K, (H / K) * T, end - start])), values);
  };
  const sum = emit('Add', mixed(pastV, 0, C), mixed(v, C, C + T));
  return [emit('Reshape', sum, c.ints([B, H, T, Dh]))];
}

function shapeOf(c: OnnxContext, input: number): readonly [number, number, number, number] {
  return (c.inputTypes[input] as TensorType).shape as [number, number, number, number];
}

function capped(c: OnnxContext, scores: string, { softCap }: Attrs): string {
  if (softCap === undefined) return scores;
  const [inside] = c.emit('Mul', [scores, c.scalar(1 / softCap)]);
  const [bent] = c.emit('Tanh', [inside]);
  return c.emit('Mul', [bent, c.scalar(softCap)])[0];
}

/** Every row's filled part of the cache and its new rows, in a tensor with room for all. */
function joined(past: RefTensor, rows: RefTensor, numPast: RefTensor): RefTensor {
  const [B, K, C, Dh] = past.shape as [number, number, number, number];
  const T = rows.shape[2] as number;
  return refTensor([B, K, C + T, Dh], (_, index) => {
    const [b, head, j, d] = index as [number, number, number, number];
    const i = j - (numPast.data[b] as number);
    if (i < 0) return at(past, [b, head, j, d]);
    return i < T ? at(rows, [b, head, i, d]) : 0;
  });
}

function attended(
  q: RefTensor,
  k: RefTensor,
  v: RefTensor,
  numPast: RefTensor,
  { scale, window = Number.POSITIVE_INFINITY, softCap }: Attrs,
  out: TensorType,
): RefTensor {
  const [, H, , Dh] = q.shape as [number, number, number, number];
  const K = k.shape[1] as number;
  return refTensor(out.shape, (_, index) => {
    const [b, h, t, d] = index as [number, number, number, number];
    const head = Math.floor((h * K) / H);
    const last = (numPast.data[b] as number) + t;
    let [total, sum] = [0, 0];
    for (let j = Math.max(0, last - window + 1); j <= last; j++) {
      let score = 0;
      for (let e = 0; e < Dh; e++) score += at(q, [b, h, t, e]) * at(k, [b, head, j, e]);
      score *= scale;
      const weight = Math.exp(softCap === undefined ? score : softCap * Math.tanh(score / softCap));
      total += weight;
      sum += weight * at(v, [b, head, j, d]);
    }
    return sum / total;
  });
}

function six<X>(items: readonly X[]): readonly [X, X, X, X, X, X] {
  assert(items.length === 6, `cachedAttention of ${items.length} operands`);
  return items as unknown as readonly [X, X, X, X, X, X];
}

export interface CachedAttentionInputs {
  /** [B, H, T, Dh]. */
  readonly q: Value;
  /** New rows [B, K, T, Dh]. */
  readonly k: Value;
  readonly v: Value;
  /** Caches [B, K, C, Dh]; C may be ANY where `takesAnyCapacity`. */
  readonly pastK: Value;
  readonly pastV: Value;
  /** Filled rows n of each cache, int32 [B]; n ≤ C. */
  readonly numPast: Value;
}

/**
 * softmax(scale · q Kᵀ + mask) V [B, H, T, Dh], where K and V are the first n_b rows of the cache followed by the new ones
 * and the query of new token i sees rows j ≤ n_b + i, with a window w only j > n_b + i − w. Grouped queries: Ainslie et al.
 * 2023, arXiv:2305.13245.
 */
export function cachedAttention(
  { q, k, v, pastK, pastV, numPast }: CachedAttentionInputs,
  { scale, window, softCap }: CachedAttentionAttrs,
): Value {
  const attrs = {
    scale,
    ...(window === undefined ? {} : { window }),
    ...(softCap === undefined ? {} : { softCap }),
  };
  return apply(CACHED_ATTENTION, [q, k, v, pastK, pastV, numPast], attrs);
}
