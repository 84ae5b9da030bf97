import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { tensor } from '../base/tensor.ts';
import { Graph } from '../graph/ir.ts';
import { blockShapes, dequantize, type QuantizedBits } from '../graph/ops/index.ts';
import { interpret } from '../graph/reference.ts';
import { quantizeMatrix } from './quantize-blocks.ts';

const [E, D, BLOCK] = [3, 64, 32];

/** What a graph makes of the rounded matrix. */
function restored(values: Float32Array, bits: QuantizedBits, inOut = false): Float64Array {
  const format = { bits, blockSize: BLOCK };
  const arrays = quantizeMatrix(values, [E, D], format, inOut);
  const shapes = blockShapes(E, D, format);
  const graph = new Graph();
  graph.output(
    'w',
    dequantize({
      ...format,
      packed: graph.constant(tensor('uint8', shapes.packed, arrays.packed)),
      scales: graph.constant(tensor('float32', shapes.scales, arrays.scales)),
      zeroPoints: graph.constant(tensor('uint8', shapes.zeroPoints, arrays.zeroPoints)),
    }),
  );
  return interpret(graph, new Map()).get('w')!.data;
}

const matrices = fc
  .array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: E * D, maxLength: E * D })
  .map((values) => Float32Array.from(values));

describe('rounding to blocks', () => {
  it.each([4, 8] as const)('%i bits: no element moves by more than half a step of its block', (bits) => {
    fc.assert(
      fc.property(matrices, (values) => {
        const rounded = restored(values, bits);
        for (let block = 0; block < (E * D) / BLOCK; block++) {
          const part = values.subarray(block * BLOCK, (block + 1) * BLOCK);
          const step = (Math.max(0, ...part) - Math.min(0, ...part)) / (2 ** bits - 1);
          // The zero point is rounded too: an element at the end of the range may lose as much again.
          const most = step * 1.0001 + 1e-30;
          for (const [i, value] of part.entries())
            expect(Math.abs(value - rounded[block * BLOCK + i]!)).toBeLessThanOrEqual(most);
        }
      }),
    );
  });

  it('keeps zero exactly and gives zero for a block of zeros', () => {
    const values = Float32Array.from({ length: E * D }, (_, i) => (i < BLOCK || i % 3 === 0 ? 0 : i - 50));
    const rounded = restored(values, 4);
    for (const [i, value] of values.entries()) if (value === 0) expect(rounded[i]).toBe(0);
    expect(rounded.some((value) => value !== 0)).toBe(true);
  });

  it('gives the same numbers for a matrix that is stored the other way round', () => {
    const values = Float32Array.from({ length: E * D }, (_, i) => Math.sin(i * i));
    const turned = Float32Array.from({ length: E * D }, (_, i) => values[(i % E) * D + Math.floor(i / E)]!);
    expect(restored(turned, 4, true)).toEqual(restored(values, 4));
    expect(restored(turned, 4)).not.toEqual(restored(values, 4));
  });
});
