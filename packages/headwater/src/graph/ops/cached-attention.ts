/**
 * Attention of new tokens over a key-value cache that they join: what generation runs once a layer and token. On CPU it
 * is ONNX Runtime's grouped-query kernel, which reads the filled rows only and writes new ones in place when input and
 * output are the same memory. Forward only: nothing is trained through a cache.
 *
 * B rows, H heads, K key-value heads, T new tokens, C rows of the cache, Dh head dim.
 */

import { assert } from '../../base/errors.ts';
import { type TensorType, tensor } from '../../base/tensor.ts';
import { defineOp, type OnnxContext, type RefTensor, type Value } from '../ir.ts';
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
    return [q, pastK, pastV];
  },
  vjp: { nonDifferentiable: 'a cache is for generation' },
  onnx: (c, attrs) => (c.kernels === 'cpu' && fitsKernel(c) ? kernel(c, attrs) : primitives(c, attrs)),
  reference: (inputs, attrs, outputs) => {
    const [q, k, v, pastK, pastV, numPast] = six(inputs);
    const presentK = written(pastK, k, numPast);
    const presentV = written(pastV, v, numPast);
    return [attended(q, presentK, presentV, numPast, attrs, outputs[0] as TensorType), presentK, presentV];
  },
});

/** The kernel wants heads in multiples of eight and takes several new tokens for one row only. */
function fitsKernel(c: OnnxContext): boolean {
  const [B, , T, Dh] = shapeOf(c, 0);
  return Dh % 8 === 0 && (B === 1 || T === 1);
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
  const [mixed, presentK, presentV] = c.emit('GroupQueryAttention', inputs, attributes, options);
  const [split] = c.emit('Reshape', [mixed, c.ints([B, T, H, Dh])]);
  const [byHead] = c.emit('Transpose', [split], { perm: { ints: [0, 2, 1, 3] } });
  return [byHead, presentK as string, presentV as string];
}

function primitives(c: OnnxContext, attrs: Attrs): readonly string[] {
  const [q, k, v, pastK, pastV, numPast] = six(c.inputs);
  const [B, H, T, Dh] = shapeOf(c, 0);
  const [, K, C] = shapeOf(c, 3);
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
  // Which new token a cache row takes, as a row of zeros and a one; the product with it copies exactly.
  const offset = emit('Sub', range(C, 0, [1, 1, C, 1]), past);
  const takes = emit('Equal', offset, range(T, 0, [1, 1, 1, T]));
  const [taken] = c.emit('Cast', [takes], { to: { int: 1 } });
  const isNew = emit(
    'And',
    emit('GreaterOrEqual', offset, range(1, 0, [1])),
    emit('Less', offset, range(1, T, [1])),
  );
  const present = (before: string, rows: string) => emit('Where', isNew, emit('MatMul', taken, rows), before);
  const [presentK, presentV] = [present(pastK, k), present(pastV, v)];
  // Grouped queries are rows of one product with their shared keys.
  const grouped = c.ints([B, K, (H / K) * T, Dh]);
  const [transposed] = c.emit('Transpose', [presentK], { perm: { ints: [0, 1, 3, 2] } });
  const products = emit(
    'Mul',
    emit('MatMul', emit('Reshape', q, grouped), transposed),
    c.scalar(attrs.scale),
  );
  const scores = emit('Reshape', capped(c, products, attrs), c.ints([B, H, T, C]));
  const index = emit('Add', past, range(T, 0, [1, 1, T, 1]));
  const keys = range(C, 0, [1, 1, 1, C]);
  const notLater = emit('GreaterOrEqual', index, keys);
  const seen =
    attrs.window === undefined
      ? notLater
      : emit('And', notLater, emit('Greater', keys, emit('Sub', index, range(1, attrs.window, [1]))));
  const mask = emit('Where', seen, c.scalar(0), c.scalar(MASKED));
  const [weights] = c.emit('Softmax', [emit('Add', scores, mask)], { axis: { int: -1 } });
  const mixed = emit('MatMul', emit('Reshape', weights, c.ints([B, K, (H / K) * T, C])), presentV);
  return [emit('Reshape', mixed, c.ints([B, H, T, Dh])), presentK, presentV];
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

function written(past: RefTensor, rows: RefTensor, numPast: RefTensor): RefTensor {
  const T = rows.shape[2] as number;
  return refTensor(past.shape, (flat, index) => {
    const [b, head, j, d] = index as [number, number, number, number];
    const i = j - (numPast.data[b] as number);
    return i >= 0 && i < T ? at(rows, [b, head, i, d]) : (past.data[flat] as number);
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
  /** Caches [B, K, C, Dh]. */
  readonly pastK: Value;
  readonly pastV: Value;
  /** Filled rows n of each cache, int32 [B]; n + T ≤ C. */
  readonly numPast: Value;
}

/**
 * With present = past whose rows n_b … n_b + T − 1 are the new ones, out = softmax(scale · q presentKᵀ + mask) presentV,
 * where the query of new token i sees rows j ≤ n_b + i, with a window w only j > n_b + i − w. Rows after the new ones are
 * nobody's: they may keep what they held or not. Grouped queries: Ainslie et al. 2023, arXiv:2305.13245.
 */
export function cachedAttention(
  { q, k, v, pastK, pastV, numPast }: CachedAttentionInputs,
  { scale, window, softCap }: CachedAttentionAttrs,
): { readonly out: Value; readonly presentK: Value; readonly presentV: Value } {
  const attrs = {
    scale,
    ...(window === undefined ? {} : { window }),
    ...(softCap === undefined ? {} : { softCap }),
  };
  const [out, presentK, presentV] = q.graph.apply(CACHED_ATTENTION, [q, k, v, pastK, pastV, numPast], attrs);
  return { out: out as Value, presentK: presentK as Value, presentV: presentV as Value };
}
