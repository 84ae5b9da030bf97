import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32c } from './crc32c.ts';
import { decodeFrames, encodeFrame } from './frames.ts';

const text = (content: string) => new TextEncoder().encode(content);

it('CRC-32C gives the values of RFC 3720, also piece by piece', () => {
  expect(crc32c(text('123456789'))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
  expect(crc32c(text('6789'), crc32c(text('12345')))).toBe(0xe3069283);
});

describe('frames', () => {
  const values = [{ a: 1 }, 'łą\u2028', null, [1, 2, { x: 'y'.repeat(300) }]];
  const frames = values.map(encodeFrame);
  const file = Buffer.concat(frames);
  const ends = frames.map((_, i) => Buffer.concat(frames.slice(0, i + 1)).byteLength);

  it('come back in order', () => {
    expect(decodeFrames(file)).toEqual({ values, end: file.byteLength, damaged: false });
    expect(decodeFrames(new Uint8Array())).toEqual({ values: [], end: 0, damaged: false });
  });

  it('cut anywhere, the whole ones before the cut are read', () => {
    for (let cut = 0; cut < file.byteLength; cut += 1) {
      const whole = ends.filter((end) => end <= cut);
      expect(decodeFrames(file.subarray(0, cut))).toEqual({
        values: values.slice(0, whole.length),
        end: whole.at(-1) ?? 0,
        damaged: false,
      });
    }
  });

  it('zeros or any torn bytes behind the last whole frame are its end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.boolean(), (garbage, zeros) => {
        const tail = zeros ? garbage.fill(0) : garbage;
        expect(decodeFrames(Buffer.concat([file, tail])).values).toEqual(values);
      }),
      { seed: 1 },
    );
  });

  it('any changed byte before the last frame is damage, not a torn end', () => {
    for (let at = 0; at < (ends[2] ?? 0); at += 1) {
      const changed = Uint8Array.from(file);
      changed[at] = (changed[at] ?? 0) ^ 0x11;
      expect(decodeFrames(changed).damaged, `byte ${at}`).toBe(true);
    }
  });
});
