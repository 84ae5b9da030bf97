import { describe, expect, it } from 'vitest';
import { type ToyRider, toyFederation } from '../../../test/support/toy-free-riders.ts';
import { accuracyOf } from '../../runs/free-riders.ts';
import { cutInTwo } from './clusters.ts';
import { SUSPICIOUS } from './report.ts';
import { s2Wef } from './s2-wef.ts';
import { deviationsOf, frequencyOf, robustScores } from './wef.ts';

const isSuspicious = ({ signs }: { readonly signs: readonly string[] }) =>
  signs.some((sign) => (SUSPICIOUS as readonly string[]).includes(sign));

describe('weight evolving frequency', () => {
  it('marks what moves more than the mean, and says who is unlike the others', () => {
    expect([...frequencyOf([1, -4, 0, 3])]).toEqual([0, 1, 0, 1]);
    const alike = [1, 2, 3, 4, 5].map(() => Float64Array.of(1, 0, 1, 0));
    expect(deviationsOf(alike)).toEqual([0, 0, 0, 0, 0]);
    const odd = deviationsOf([...alike, Float64Array.of(0, 1, 0, 0)]);
    expect(odd.indexOf(Math.max(...odd))).toBe(5);
    expect(odd.reduce((sum, x) => sum + x, 0)).toBeCloseTo(3, 9);
    expect(robustScores([1, 1, 1, 1, 9]).map((x) => x > 3)).toEqual([false, false, false, false, true]);
  });

  it('two clusters where there are two, and how clear the cut is', () => {
    const near = [0, 0.1, -0.1, 0.05].map((x) => [x, -x] as const);
    const cut = cutInTwo([...near, [9, 9], [9.1, 9]])!;
    expect(cut.clusters.map((cluster) => [...cluster].sort())).toContainEqual([4, 5]);
    expect(cut.silhouette).toBeGreaterThan(0.9);
    expect(cut.jump).toBeGreaterThan(0.9);
    expect(cutInTwo([[0, 0]])).toBeUndefined();
    expect(
      cutInTwo([
        [1, 1],
        [1, 1],
        [1, 1],
      ]),
    ).toBeUndefined();
  });

  it('whoever echoes resembles the simulated pattern most; the order of owners does not matter', () => {
    const { updates, moved } = toyFederation({ rider: 'echo', rounds: 3 }).rounds[2]!;
    const patterns = updates.map(({ last }) => frequencyOf(last));
    const { similarity, flagged } = s2Wef(patterns, moved);
    const ranked = similarity!.map((gamma, i) => [gamma, i] as const).sort(([a], [b]) => b - a);
    expect(
      ranked
        .slice(0, 2)
        .map(([, i]) => i)
        .sort((a, b) => a - b),
    ).toEqual([8, 9]);
    const turned = s2Wef([...patterns].reverse(), moved);
    expect([...turned.flagged].reverse()).toEqual(flagged);
    for (const few of [[], patterns.slice(0, 1), patterns.slice(0, 2)])
      expect(s2Wef(few, moved).flagged.some(Boolean)).toBe(false);
  });
});

describe('eight honest owners and two free-riders over ten rounds', () => {
  const judged = (rider: ToyRider, from = 1) => {
    const { looks, isRider } = toyFederation({ rider, rounds: 10, from });
    return accuracyOf(looks, isRider, isSuspicious);
  };

  it.each(['zero', 'echo', 'gaussian', 'noisy-echo', 'copy'] as const)('%s is found', (rider) => {
    expect(judged(rider).f1).toBeGreaterThanOrEqual(0.9);
  });

  it('also where they turn in mid-run, and hardly anybody is flagged while all are honest', () => {
    expect(judged('echo', 6).f1).toBeGreaterThanOrEqual(0.9);
    expect(judged('echo', 11).falseAlarms).toBeLessThan(0.1);
  });
});
