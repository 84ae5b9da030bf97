import { describe, expect, it } from 'vitest';
import { type Params, tensor } from '../base/tensor.ts';
import { encodeParams } from './params.ts';
import { checkUpdateBytes, checkUpdateStream } from './update-check.ts';

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
  it('NaN and wrong shapes have codes of their own', () => {
    expect(checkUpdateBytes(update({ a: [[2], [1, Number.NaN]] }), expected)).toMatchObject({
      code: 'not-finite',
    });
    expect(checkUpdateBytes(update({ b: undefined }), expected)).toMatchObject({ code: 'shape' });
  });

  it('bytes in pieces of any length get the verdict of the whole', async () => {
    async function* pieces(bytes: Uint8Array, length: number): AsyncIterable<Uint8Array> {
      for (let at = 0; at < bytes.byteLength; at += length) yield bytes.slice(at, at + length);
    }
    const good = update();
    const files = [good, update({ a: [[2], [1, Number.NaN]] }), good.slice(0, -1), Uint8Array.of(...good, 0)];
    for (const bytes of files)
      for (let length = 1; length <= bytes.byteLength; length++)
        expect(await checkUpdateStream(pieces(bytes, length), expected)).toEqual(
          checkUpdateBytes(bytes, expected),
        );
  });

  it('a source that breaks is no fault of the update', async () => {
    async function* broken(): AsyncIterable<Uint8Array> {
      yield update().slice(0, 20);
      throw new Error('the disk is gone');
    }
    await expect(checkUpdateStream(broken(), expected)).rejects.toThrow('the disk is gone');
  });

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
