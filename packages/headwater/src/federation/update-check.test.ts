import { describe, expect, it } from 'vitest';
import { type Params, tensor } from '../base/tensor.ts';
import { encodeParams } from './params.ts';
import { checkUpdateBytes } from './update-check.ts';

const expected = [
  { name: 'a', shape: [2] },
  { name: 'b', shape: [2, 1] },
];

function update(change: Record<string, [readonly number[], number[]] | undefined> = {}): Uint8Array {
  const entries = {
    a: [[2], [3, 0]],
    b: [
      [2, 1],
      [0, 4],
    ],
    ...change,
  };
  const params = Object.entries(entries).flatMap(([name, entry]) =>
    entry === undefined
      ? []
      : [[name, tensor('float32', entry[0] as number[], Float32Array.from(entry[1] as number[]))] as const],
  );
  return encodeParams(new Map(params) as Params);
}

describe('update check', () => {
  it('accepts an update of the plan and measures it', () => {
    expect(checkUpdateBytes(update(), expected)).toEqual({ ok: true, l2Norm: 5 });
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['NaN', update({ a: [[2], [1, Number.NaN]] }), /NonFinite.*"a".*element 1/],
    [
      'infinity',
      update({
        b: [
          [2, 1],
          [Number.POSITIVE_INFINITY, 0],
        ],
      }),
      /NonFinite.*"b"/,
    ],
    [
      'a transposed tensor',
      update({
        b: [
          [1, 2],
          [0, 0],
        ],
      }),
      /"b" has shape \[1,2\], expected \[2,1\]/,
    ],
    ['a missing tensor', update({ b: undefined }), /"b" is missing/],
    ['an unknown tensor', update({ c: [[1], [0]] }), /"c" is not part of this run/],
    ['half a file', update().slice(0, 40), /InvalidHeaderLength|HeaderTooSmall/],
    ['no safetensors at all', new TextEncoder().encode('hello, this is no update'), /HeaderTooLarge/],
  ])('refuses %s with a reason', (_, bytes, reason) => {
    const check = checkUpdateBytes(bytes, expected);
    expect(check).toMatchObject({ ok: false, reason: expect.stringMatching(reason) });
  });
});
