import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inverseFrequencies } from './rope-scaling.ts';
import { rotaryTables } from './rotary.ts';

const LLAMA_3 = {
  kind: 'llama3',
  factor: 8,
  lowFreqFactor: 1,
  highFreqFactor: 4,
  originalMaxPositionEmbeddings: 8192,
} as const;

describe('rotary frequencies', () => {
  it('are θ^(−2i/Dh) to float32 precision', () => {
    for (const [ropeTheta, headDim] of [
      [10_000, 64],
      [500_000, 128],
      [1_000_000, 6],
    ] as const) {
      const frequencies = inverseFrequencies({ ropeTheta, rotaryDim: headDim });
      expect(frequencies).toHaveLength(headDim / 2);
      for (const [i, frequency] of frequencies.entries())
        expect(frequency / Math.exp((-2 * i * Math.log(ropeTheta)) / headDim)).toBeCloseTo(1, 5);
    }
  });

  it('llama3 scaling keeps short waves, divides long ones, and is monotone in between', () => {
    const plain = inverseFrequencies({ ropeTheta: 500_000, rotaryDim: 128 });
    const scaled = inverseFrequencies({ ropeTheta: 500_000, rotaryDim: 128, scaling: LLAMA_3 });
    const kinds = scaled.map((frequency, i) => {
      const wavelength = (2 * Math.PI) / (plain[i] as number);
      const ratio = frequency / (plain[i] as number);
      if (wavelength < 8192 / 4) return ratio === 1 ? 0 : -1;
      if (wavelength > 8192 / 1) return Math.abs(ratio - 1 / 8) < 1e-7 ? 2 : -1;
      return ratio < 1 && ratio > 1 / 8 ? 1 : -1;
    });
    expect([...kinds]).toEqual([...kinds].sort());
    expect(new Set(kinds)).toEqual(new Set([0, 1, 2]));
    // Middle of the blend, by hand: wavelength L/2 gives s = 1/3, so the factor is (2/3)/8 + 1/3.
    const theta = (2 * Math.PI * 2) / 8192;
    const [, middle] = inverseFrequencies({ ropeTheta: theta ** -2, rotaryDim: 4, scaling: LLAMA_3 });
    expect((middle as number) / theta).toBeCloseTo(2 / 24 + 1 / 3, 5);
  });
});

describe('rotary tables', () => {
  it('hold cos and sin of position · frequency in row-major order', () => {
    const { cos, sin } = rotaryTables({ ropeTheta: 100, rotaryDim: 4 }, 5);
    expect(cos.shape).toEqual([5, 2]);
    for (let position = 0; position < 5; position++)
      for (const [i, frequency] of [1, 0.1].entries()) {
        expect(cos.data[position * 2 + i]).toBeCloseTo(Math.cos(position * frequency), 6);
        expect(sin.data[position * 2 + i]).toBeCloseTo(Math.sin(position * frequency), 6);
      }
  });

  it('rotate by sums of positions: R(a)·R(b) = R(a + b)', () => {
    const { cos, sin } = rotaryTables({ ropeTheta: 10_000, rotaryDim: 16 }, 200);
    const at = (position: number, i: number) =>
      [cos.data[position * 8 + i], sin.data[position * 8 + i]] as [number, number];
    fc.assert(
      fc.property(fc.nat(99), fc.nat(99), fc.nat(7), (a, b, i) => {
        const [[ca, sa], [cb, sb], [c, s]] = [at(a, i), at(b, i), at(a + b, i)];
        expect(ca * cb - sa * sb).toBeCloseTo(c, 4);
        expect(sa * cb + ca * sb).toBeCloseTo(s, 4);
      }),
      { seed: 3, numRuns: 200 },
    );
  });
});
