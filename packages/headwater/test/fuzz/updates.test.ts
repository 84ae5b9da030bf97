/** The examination of updates in every encoding: mutated files get the same verdict whole and in pieces, never an exception. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rng } from '../../src/base/random.ts';
import { tensor } from '../../src/base/tensor.ts';
import { bindCompression } from '../../src/federation/compression/compression.ts';
import { encodeUpdate } from '../../src/federation/compression/encode.ts';
import { compressions } from '../../src/federation/compression/registry.ts';
import { REJECTIONS } from '../../src/federation/events.ts';
import { checkUpdateBytes, checkUpdateStream } from '../../src/federation/update-check.ts';
import { expectUnpolluted, mutatedBytes, PARAMETERS } from './support.ts';

const update = new Map([
  [
    'a.loraA',
    tensor(
      'float32',
      [20, 30],
      Float32Array.from({ length: 600 }, (_, i) => Math.sin(i)),
    ),
  ],
  ['a.loraB', tensor('float32', [1, 2], Float32Array.of(7, 5e-40))],
]);
const expected = [...update].map(([name, { shape }]) => ({ name, shape }));

/** Pieces as a network would cut them. */
async function* cut(bytes: Uint8Array, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const length of [...lengths, bytes.length]) {
    yield bytes.subarray(at, at + length);
    at = Math.min(bytes.length, at + length);
  }
}

describe.each([...compressions.values()])('updates encoded as $id', (record) => {
  const compression = bindCompression(record, record.options.parse({}));
  const { bytes } = encodeUpdate(compression, update, rng(1), undefined);
  const rules = { compression, maxNorm: null };

  it('the good one is taken', () => {
    expect(checkUpdateBytes(bytes, expected, rules)).toMatchObject({ ok: true });
  });

  it('4,000 mutated ones get a verdict, the same whole and in pieces', async () => {
    const pieces = fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(mutatedBytes([bytes]), pieces, async (mutant, lengths) => {
        const verdict = checkUpdateBytes(mutant, expected, rules);
        if (verdict.ok) expect(Number.isFinite(verdict.l2Norm)).toBe(true);
        else expect(Object.keys(REJECTIONS)).toContain(verdict.code);
        const streamed = await checkUpdateStream(cut(mutant, lengths), expected, rules);
        expect(streamed.ok ? 'ok' : streamed.code).toBe(verdict.ok ? 'ok' : verdict.code);
      }),
      { ...PARAMETERS, numRuns: 4000 },
    );
    expectUnpolluted();
  });

  it('random bytes and files cut anywhere are refused', () => {
    for (let length = 0; length < bytes.length; length++)
      expect(checkUpdateBytes(bytes.subarray(0, length), expected, rules)).toMatchObject({ ok: false });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
        expect(checkUpdateBytes(random, expected, rules)).toMatchObject({ ok: false });
      }),
      PARAMETERS,
    );
  });

  it('every encoding but its own is refused', () => {
    for (const other of compressions.values()) {
      if (other.id === record.id) continue;
      const foreign = encodeUpdate(
        bindCompression(other, other.options.parse({})),
        update,
        rng(1),
        undefined,
      );
      expect(checkUpdateBytes(foreign.bytes, expected, rules)).toMatchObject({ ok: false });
    }
  });
});
