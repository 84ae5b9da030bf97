import { expect, test } from 'vitest';
import { rng } from '../../base/random.ts';
import { sizeOf, type Tensor, tensor } from '../../base/tensor.ts';
import { Graph } from '../../graph/ir.ts';
import { interpret } from '../../graph/reference.ts';
import { segmentAttention } from './attention.ts';

const [B, H, K, Dh] = [2, 4, 2, 4];

function random(shape: readonly number[], label: string): Tensor<'float32'> {
  const stream = rng('attention', label);
  return tensor(
    'float32',
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => stream.normal()),
  );
}

/** softmax over the visible keys, written with loops. */
function expected(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  segments: Int32Array,
  T: number,
  window: number | undefined,
): Float64Array {
  const out = new Float64Array(B * H * T * Dh);
  const at = (t: Tensor, heads: number, b: number, h: number, i: number, d: number) =>
    Number(t.data[((b * heads + h) * T + i) * Dh + d]);
  for (let b = 0; b < B; b++)
    for (let h = 0; h < H; h++)
      for (let i = 0; i < T; i++) {
        const head = Math.floor((h * K) / H);
        const sees = (j: number) =>
          j <= i && segments[b * T + j] === segments[b * T + i] && (window === undefined || j > i - window);
        const keys = Array.from({ length: T }, (_, j) => j).filter(sees);
        const scores = keys.map((j) => {
          let sum = 0;
          for (let d = 0; d < Dh; d++) sum += at(q, H, b, h, i, d) * at(k, K, b, head, j, d);
          return Math.exp(0.5 * sum);
        });
        const total = scores.reduce((a, x) => a + x, 0);
        for (let d = 0; d < Dh; d++)
          out[((b * H + h) * T + i) * Dh + d] = keys.reduce(
            (sum, j, n) => sum + ((scores[n] as number) / total) * at(v, K, b, head, j, d),
            0,
          );
      }
  return out;
}

test.each([
  ['one block', 40, undefined],
  ['two blocks', 130, undefined],
  ['three blocks and a window across them', 200, 70],
])('attention in %s equals the sum over visible keys', (_, T, window) => {
  const graph = new Graph();
  const stream = rng('segments', T);
  const ids = new Int32Array(B * T);
  for (let b = 0; b < B; b++)
    for (let i = 1; i < T; i++) ids[b * T + i] = (ids[b * T + i - 1] as number) + +(stream.uniform() < 0.02);
  const [q, k, v] = [random([B, H, T, Dh], 'q'), random([B, K, T, Dh], 'k'), random([B, K, T, Dh], 'v')];
  const attend = segmentAttention(graph.input('segments', 'int32', [B, T]));
  const input = (name: string, t: Tensor) => graph.input(name, 'float32', t.shape);
  const options = window === undefined ? { scale: 0.5 } : { scale: 0.5, window };
  graph.output('out', attend(0, input('q', q), input('k', k), input('v', v), options));
  const feeds = new Map<string, Tensor>([
    ['q', q],
    ['k', k],
    ['v', v],
    ['segments', tensor('int32', [B, T], ids)],
  ]);
  const result = interpret(graph, feeds).get('out')?.data as Float64Array;
  const wanted = expected(q, k, v, ids, T, window);
  expect(Math.max(...result.map((x, i) => Math.abs(x - (wanted[i] as number))))).toBeLessThan(1e-12);
});
