import { describe, expect, it } from 'vitest';
import { type ToyRider, toyFederation } from '../../../test/support/toy-free-riders.ts';
import { accuracyOf } from '../../runs/free-riders.ts';
import { type Claim, signsOfClaims } from './claims.ts';
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

describe('what owners say', () => {
  const stats = (meanLoss: number | null, more: object = {}) => ({
    ...{ steps: 3, numExamples: 12, numTokens: 300, numTargets: 60, meanLoss, lastLoss: meanLoss, ...more },
  });
  const claim = (owner: string, meanLoss: number | null, more: Partial<Claim> = {}): Claim => ({
    ...{ owner, round: 2, params: 'two', stats: stats(meanLoss), steps: 3, tookMs: 1000, ...more },
  });
  const honest = [claim('a', 1.1), claim('b', 0.9), claim('c', 1.3), claim('d', 0.4)];
  const signsOf = (claims: readonly Claim[], earlier: readonly Claim[] = []) =>
    Object.fromEntries([...signsOfClaims(claims, earlier)].filter(([, signs]) => signs.length > 0));

  it('of honest owners shows nothing, nor does silence', () => {
    const then = honest.map((one, i) => ({ ...one, round: 1, params: 'one', stats: stats(2 + i) }));
    expect(signsOf(honest, then)).toEqual({});
    const silent = stats(null, { steps: 0, numExamples: 0, numTokens: 0, numTargets: 0 });
    expect(signsOf([...honest, claim('e', null, { stats: silent })])).toEqual({});
    expect(signsOf(honest.slice(0, 3).map((one) => ({ ...one, tookMs: null })))).toEqual({});
  });

  it('is compared with what it said before, with what others say, and with what can be', () => {
    const before = { round: 1, params: 'one' };
    expect(signsOf(honest, [claim('b', 0.9, before)])).toEqual({ b: ['repeated-loss'] });
    expect(signsOf(honest, [claim('b', 0.9, { round: 1 })])).toEqual({});
    expect(signsOf([...honest, claim('e', 1.3)])).toEqual({ c: ['shared-loss'], e: ['shared-loss'] });
    expect(signsOf([...honest, claim('e', 0.01), claim('f', 40)])).toEqual({
      e: ['far-loss'],
      f: ['far-loss'],
    });
    const impossible = [
      stats(-0.1),
      stats(1.01, { numTokens: 0 }),
      stats(1.02, { numTargets: 400 }),
      stats(1.03, { steps: 1, lastLoss: 0.5 }),
      stats(1.04, { steps: 0 }),
    ].map((one, i) => claim(`e${i}`, null, { stats: one }));
    expect(Object.values(signsOf([...honest, ...impossible]))).toEqual(impossible.map(() => ['impossible']));
  });

  it('speed is a hint by itself, a token that is said to be read or that others read', () => {
    const fast = { tookMs: 50 };
    expect(signsOf([...honest, claim('e', 1, fast)])).toEqual({ e: ['hasty'] });
    const little = { stats: stats(1, { numTokens: 15, numTargets: 3 }), tookMs: 50 };
    expect(signsOf([...honest, claim('e', 1, little)])).toEqual({});
    const silent = stats(null, { steps: 0, numExamples: 0, numTokens: 0, numTargets: 0 });
    expect(signsOf([...honest, claim('e', null, { stats: silent, tookMs: 50 })])).toEqual({ e: ['hasty'] });
    expect(SUSPICIOUS).not.toContain('hasty');
    expect(SUSPICIOUS).not.toContain('far-loss');
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
