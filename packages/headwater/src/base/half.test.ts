import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bfloat16ToFloat32, firstNonFinite, float16ToFloat32, float32ToFloat16 } from './half.ts';
import { tensor } from './tensor.ts';

const ALL_BITS = Uint16Array.from({ length: 65536 }, (_, i) => i);

describe('16-bit floats', () => {
  it('widens every float16 to what Float16Array says', () => {
    const expected = new Float16Array(ALL_BITS.buffer);
    const wide = float16ToFloat32(ALL_BITS);
    expect(wide.findIndex((value, bits) => !Object.is(value, expected[bits]))).toBe(-1);
  });

  it('narrows to float16 as Float16Array does: ties to even, subnormals, overflow to infinity', () => {
    // Random bit patterns, half of them with an exponent that float16 has.
    const words = fc.uint32Array({ minLength: 64, maxLength: 64 }).map((bits) => {
      const near = bits.map((word, i) => (i % 2 === 0 ? word : (word & 0x8fffffff) | 0x30000000));
      return new Float32Array(near.buffer).filter((value) => !Number.isNaN(value));
    });
    fc.assert(
      fc.property(words, (values) => {
        expect(float32ToFloat16(values)).toEqual(new Uint16Array(new Float16Array(values).buffer));
      }),
    );
    const ties = Float32Array.of(1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -25, 3 * 2 ** -25, 65519.99, 65520, -0);
    expect(float32ToFloat16(ties)).toEqual(new Uint16Array(new Float16Array(ties).buffer));
  });

  it('widens bfloat16 to the float32 whose upper half it is', () => {
    const words = new Uint32Array(bfloat16ToFloat32(ALL_BITS).buffer);
    expect(words.findIndex((word, bits) => word !== bits * 65536)).toBe(-1);
  });

  it('finds NaN and Inf in every float type and ignores subnormals and -0', () => {
    expect(firstNonFinite(tensor('float32', [3], Float32Array.of(1e-45, -0, Number.NaN)))).toBe(2);
    expect(firstNonFinite(tensor('float32', [2], Float32Array.of(3.4e38, -Infinity)))).toBe(1);
    expect(firstNonFinite(tensor('float16', [2], Uint16Array.of(0x7bff, 0xfc00)))).toBe(1);
    expect(firstNonFinite(tensor('bfloat16', [2], Uint16Array.of(0x7f7f, 0x7fc0)))).toBe(1);
    expect(firstNonFinite(tensor('bfloat16', [2], Uint16Array.of(0x0001, 0x8000)))).toBe(-1);
    expect(firstNonFinite(tensor('int32', [1], Int32Array.of(0x7f800000)))).toBe(-1);
  });
});
