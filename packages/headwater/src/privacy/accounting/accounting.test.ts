import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { HeadwaterError } from '../../base/errors.ts';
import { type PrivacyQuestion, privacyGuarantee } from './account.ts';
import { calibrateNoise } from './calibrate.ts';
import { erfc, erfcx } from './erfc.ts';
import { gaussianDelta, gaussianEpsilon, gaussianSigma } from './gaussian.ts';
import { prvEpsilon } from './prv.ts';
import { epsilonOfRdp, ORDERS } from './rdp.ts';
import { sampledGaussianRdp } from './sampled-gaussian-rdp.ts';
import { guaranteeStatement } from './statement.ts';
import type { Neighbours, PrivacySteps, Sampling } from './steps.ts';
import { treeSteps } from './tree.ts';

interface Release {
  readonly q: number;
  readonly sigma: number;
  readonly steps: number;
}
interface Vectors {
  readonly rdp_sampled_gaussian: readonly { q: number; sigma: number; order: number; rdp: number }[];
  readonly rdp_upper: readonly (Release & { order: number; rdp: number; tolerance: number })[];
  readonly eps_sampled_gaussian: readonly (Release & {
    delta: number;
    eps_rdp: number;
    order: number;
    eps_prv_upper: number;
    eps_pld: number;
  })[];
  readonly eps_heterogeneous: { history: Release[]; delta: number; eps_rdp: number; order: number };
  readonly eps_fixed_size: readonly {
    population: number;
    size: number;
    sigma: number;
    steps: number;
    delta: number;
    eps_rdp: number;
  }[];
  readonly analytic_gaussian_sigma: readonly { eps: number; delta: number; sigma: number }[];
  readonly tree_aggregation: readonly {
    noise_multiplier: number;
    steps: number;
    delta: number;
    eps: number;
    eps_must_be_below?: number;
  }[];
  readonly calibration: readonly {
    q: number;
    steps: number;
    eps: number;
    delta: number;
    sigma_rdp: number;
    sigma_prv: number;
  }[];
}

const FILE = new URL('../../../test/fixtures/privacy/accountants.json', import.meta.url);
const vectors: Vectors = JSON.parse(readFileSync(FILE, 'utf8'));

function poisson({ q, sigma, steps }: Release): PrivacySteps {
  return { sampling: { kind: 'poisson', rate: q }, noiseMultiplier: sigma, steps };
}

function question(releases: readonly PrivacySteps[], delta: number): PrivacyQuestion {
  return { releases, neighbours: 'add-remove', delta };
}

describe('the complementary error function', () => {
  // mpmath with 40 digits.
  test.each([
    [-3, 1.9999779095030015],
    [0.001, 0.9988716212090307],
    [0.25, 0.7236736098317631],
    [1, 0.15729920705028513],
    [3.75, 1.1372725656979665e-7],
    [12.5, 6.231942781979911e-70],
    [26, 5.663192408856143e-296],
  ])('erfc(%d)', (x, expected) => {
    expect(Math.abs(erfc(x) / expected - 1)).toBeLessThan(3e-15);
  });

  test('the scaled one falls like 1/(x√π)', () => {
    expect(erfcx(1e5) * 1e5 * Math.sqrt(Math.PI)).toBeCloseTo(1, 9);
    expect(erfcx(1e300)).toBeGreaterThan(0);
  });
});

describe('Rényi divergence', () => {
  test.each(vectors.rdp_sampled_gaussian)('of one release: q=$q σ=$sigma α=$order', (v) => {
    const [rdp] = sampledGaussianRdp(v.q, v.sigma, [v.order]);
    expect(Math.abs(rdp! / v.rdp - 1)).toBeLessThan(1e-13);
  });

  test.each(vectors.rdp_upper)('of many: α=$order', (v) => {
    const [rdp] = sampledGaussianRdp(v.q, v.sigma, [v.order]);
    expect(Math.abs((rdp! * v.steps) / v.rdp - 1)).toBeLessThan(v.tolerance);
  });

  test.each(vectors.eps_sampled_gaussian)('as ε: q=$q σ=$sigma T=$steps', (v) => {
    const rdp = sampledGaussianRdp(v.q, v.sigma, ORDERS).map((one) => one * v.steps);
    const { epsilon, order } = epsilonOfRdp(rdp, v.delta);
    expect(Math.abs(epsilon - v.eps_rdp)).toBeLessThan(1e-9);
    expect(order).toBe(v.order);
  });

  test('of releases that differ', () => {
    const { history, delta, eps_rdp, order } = vectors.eps_heterogeneous;
    const { bounds } = privacyGuarantee({
      ...question(history.map(poisson), delta),
      accountants: ['rdp'],
    });
    expect(Math.abs(bounds.rdp.epsilon - eps_rdp)).toBeLessThan(1e-9);
    expect(bounds.rdp.order).toBe(order);
  });

  test('a constant curve', () => {
    const rdp = ORDERS.map((order) =>
      Number.isInteger(order) && order <= 32 ? 1.1 : Number.POSITIVE_INFINITY,
    );
    expect(epsilonOfRdp(rdp, 1e-5)).toEqual({ epsilon: expect.closeTo(1.32783806176, 10), order: 32 });
  });

  test.each(vectors.eps_fixed_size)('of samples without replacement is at least the tight figure', (v) => {
    const { size, population, steps, delta } = v;
    // Replace-one: a record goes and another comes, twice one contribution.
    const releases = [
      { sampling: { kind: 'fixed-size', size, population } as const, noiseMultiplier: 2 * v.sigma, steps },
    ];
    const { epsilon, accountant } = privacyGuarantee({ releases, neighbours: 'replace-one', delta });
    expect(accountant).toBe('rdp');
    expect(epsilon).toBeGreaterThan(v.eps_rdp - 1e-8);
    expect(epsilon).toBeLessThan(v.eps_rdp * 1.01);
  });

  test.each(vectors.tree_aggregation)('of a tree: σ=$noise_multiplier T=$steps', (v) => {
    const release = treeSteps({ noiseMultiplier: v.noise_multiplier, leaves: v.steps, trees: 1 });
    const { bounds, epsilon } = privacyGuarantee(question([release], v.delta));
    expect(Math.abs(bounds.rdp.epsilon - v.eps)).toBeLessThan(1e-9);
    if (v.eps_must_be_below !== undefined) expect(bounds.rdp.epsilon).toBeLessThan(v.eps_must_be_below);
    expect(epsilon).toBeLessThanOrEqual(bounds.rdp.epsilon);
  });

  test.each([
    [0, 0],
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 3],
    [1023, 10],
    [1024, 11],
  ])('a record is in ⌈log₂(T + 1)⌉ nodes: T = %d', (leaves, levels) => {
    expect(treeSteps({ noiseMultiplier: 1, leaves, trees: 3 }).steps).toBe(3 * levels);
  });
});

describe('privacy random variables', () => {
  test.each(vectors.eps_sampled_gaussian)('enclose the figure of PLD: q=$q σ=$sigma T=$steps', (v) => {
    const { lower, upper } = prvEpsilon([{ rate: v.q, sigma: v.sigma, steps: v.steps }], v.delta)!;
    expect(lower).toBeLessThanOrEqual(v.eps_pld);
    expect(v.eps_pld).toBeLessThanOrEqual(upper);
    expect(Math.abs(upper - v.eps_prv_upper)).toBeLessThan(1e-4);
  });

  test('enclose what is known exactly', () => {
    const exact = gaussianEpsilon(Math.sqrt(20) / 3, 1e-6);
    const { lower, upper } = prvEpsilon([{ rate: 1, sigma: 3, steps: 20 }], 1e-6)!;
    expect(lower).toBeLessThan(exact);
    expect(upper).toBeGreaterThan(exact);
    expect(upper - lower).toBeLessThan(0.0211);
  });

  test('a history in two parts is the history', () => {
    const whole = prvEpsilon([{ rate: 0.1, sigma: 1, steps: 30 }], 1e-5)!;
    const parts = [
      { rate: 0.1, sigma: 1, steps: 10 },
      { rate: 0.1, sigma: 1, steps: 20 },
    ];
    expect(prvEpsilon(parts, 1e-5)!.upper).toBeCloseTo(whole.upper, 6);
  });

  test('one release against its integral', () => {
    // δ(ε) = E_P[(1 − e^{ε − loss})₊] of the sampled Gaussian, summed here in the simplest way.
    const [q, sigma, epsilon, step] = [0.2, 0.8, 1.5, 1e-4];
    let delta = 0;
    for (let x = -12; x < 14; x += step) {
      const without = Math.exp(-(x * x) / (2 * sigma * sigma));
      const present = (1 - q) * without + q * Math.exp(-((x - 1) ** 2) / (2 * sigma * sigma));
      delta += (Math.max(0, present - Math.exp(epsilon) * without) * step) / (sigma * Math.sqrt(2 * Math.PI));
    }
    const { lower, upper } = prvEpsilon([{ rate: q, sigma, steps: 1 }], delta)!;
    expect(lower).toBeLessThan(epsilon);
    expect(upper).toBeGreaterThan(epsilon);
  });
});

describe('the Gaussian mechanism, exactly', () => {
  test.each(vectors.analytic_gaussian_sigma)('ε=$eps δ=$delta', ({ eps, delta, sigma }) => {
    expect(Math.abs(gaussianSigma(eps, delta) / sigma - 1)).toBeLessThan(1e-12);
    expect(Math.abs(gaussianEpsilon(1 / sigma, delta) / eps - 1)).toBeLessThan(1e-12);
  });

  test('its extremes', () => {
    expect(gaussianDelta(0, 1)).toBe(0);
    expect(gaussianDelta(1e200, 1)).toBe(1);
    expect(gaussianEpsilon(Number.POSITIVE_INFINITY, 1e-5)).toBe(Number.POSITIVE_INFINITY);
    expect(gaussianEpsilon(1e-200, 1e-5)).toBe(0);
    expect(gaussianEpsilon(1e-3, 1e-300)).toBeGreaterThan(0.03);
  });
});

describe('a guarantee', () => {
  test('is the smallest bound, and says whose', () => {
    const sampled = privacyGuarantee(question([poisson({ q: 0.1, sigma: 1, steps: 10 })], 1e-5));
    expect(sampled).toMatchObject({ accountant: 'prv', epsilon: sampled.bounds.prv!.upper });
    expect(sampled.epsilon).toBeLessThan(sampled.bounds.rdp.epsilon);
    const all = privacyGuarantee(
      question([{ sampling: { kind: 'none' }, noiseMultiplier: 4, steps: 3 }], 1e-5),
    );
    expect(all).toMatchObject({ accountant: 'gaussian', epsilon: all.bounds.gaussian });
    expect(all.epsilon).toBeLessThan(all.bounds.rdp.epsilon);
    expect(all.bounds.prv).toBeUndefined();
  });

  test('mixes sampled releases with others', () => {
    const none = { sampling: { kind: 'none' }, noiseMultiplier: 10, steps: 1 } as const;
    const sampled = poisson({ q: 0.01, sigma: 1, steps: 100 });
    const both = privacyGuarantee(question([sampled, none], 1e-5));
    expect(both.accountant).toBe('prv');
    expect(both.epsilon).toBeGreaterThan(privacyGuarantee(question([none], 1e-5)).epsilon);
    expect(both.epsilon).toBeGreaterThan(privacyGuarantee(question([sampled], 1e-5)).epsilon);
  });

  test('of nothing is zero, without noise infinite', () => {
    expect(privacyGuarantee(question([], 1e-5)).epsilon).toBe(0);
    expect(privacyGuarantee(question([poisson({ q: 0, sigma: 1, steps: 9 })], 1e-5)).epsilon).toBe(0);
    for (const q of [0.1, 1])
      expect(privacyGuarantee(question([poisson({ q, sigma: 0, steps: 1 })], 1e-5)).epsilon).toBe(
        Number.POSITIVE_INFINITY,
      );
  });

  test('replace-one counts two contributions', () => {
    const release = { sampling: { kind: 'none' }, steps: 5 } as const;
    const replace = privacyGuarantee({
      releases: [{ ...release, noiseMultiplier: 6 }],
      neighbours: 'replace-one',
      delta: 1e-5,
    });
    const removed = privacyGuarantee(question([{ ...release, noiseMultiplier: 3 }], 1e-5));
    expect(replace.bounds).toEqual(removed.bounds);
  });

  const NONE: Sampling = { kind: 'none' };
  const POISSON: Sampling = { kind: 'poisson', rate: 0.1 };
  const FIXED: Sampling = { kind: 'fixed-size', size: 1, population: 10 };
  test.each<[Sampling, Neighbours, RegExp | undefined]>([
    [NONE, 'add-remove', undefined],
    [NONE, 'replace-one', undefined],
    [NONE, 'zero-out', undefined],
    [POISSON, 'add-remove', undefined],
    [POISSON, 'replace-one', /Use add-remove neighbours/],
    [POISSON, 'zero-out', /Use add-remove neighbours/],
    [FIXED, 'replace-one', undefined],
    [FIXED, 'add-remove', /Use replace-one neighbours/],
    [FIXED, 'zero-out', /Use replace-one neighbours/],
  ])('%j with %s neighbours', (sampling, neighbours, advice) => {
    const ask = () =>
      privacyGuarantee({ releases: [{ sampling, noiseMultiplier: 1, steps: 1 }], neighbours, delta: 1e-5 });
    if (advice === undefined) expect(ask().epsilon).toBeGreaterThan(0);
    else
      expect(ask).toThrow(
        expect.objectContaining({ code: 'PRIVACY_INVALID', hint: expect.stringMatching(advice) }),
      );
  });

  test.each<[string, Partial<PrivacyQuestion>]>([
    ['noise below zero', { releases: [poisson({ q: 0.1, sigma: -1, steps: 1 })] }],
    ['noise that is no number', { releases: [poisson({ q: 0.1, sigma: Number.NaN, steps: 1 })] }],
    ['half a step', { releases: [poisson({ q: 0.1, sigma: 1, steps: 0.5 })] }],
    ['a rate above 1', { releases: [poisson({ q: 1.1, sigma: 1, steps: 1 })] }],
    ['delta 0', { delta: 0 }],
    ['delta 1', { delta: 1 }],
    ['delta above 1/population', { delta: 1e-3, population: 1001 }],
  ])('refuses %s', (_, wrong) => {
    const right = question([poisson({ q: 0.1, sigma: 1, steps: 1 })], 1e-5);
    expect(() => privacyGuarantee({ ...right, ...wrong })).toThrow(HeadwaterError);
  });
});

describe('calibration', () => {
  const ask = ({ q, steps, eps, delta }: { q: number; steps: number; eps: number; delta: number }) => ({
    targetEpsilon: eps,
    delta,
    neighbours: 'add-remove' as const,
    releases: [{ sampling: { kind: 'poisson', rate: q } as const, steps }],
  });

  test.each(vectors.calibration)('by Rényi divergence: T=$steps', (v) => {
    const { noiseMultiplier, guarantee } = calibrateNoise({ ...ask(v), accountants: ['rdp'] });
    expect(Math.abs(noiseMultiplier - v.sigma_rdp)).toBeLessThan(1e-3);
    expect(guarantee.epsilon).toBeLessThanOrEqual(v.eps);
  });

  test('by both: never above the target, and at most a thousandth too much noise', () => {
    const target = { q: 0.05, steps: 40, eps: 2, delta: 1e-5 };
    const { noiseMultiplier, guarantee } = calibrateNoise(ask(target));
    expect(guarantee.epsilon).toBeLessThanOrEqual(2);
    const less = poisson({ q: 0.05, sigma: noiseMultiplier / 1.0011, steps: 40 });
    expect(privacyGuarantee(question([less], 1e-5)).epsilon).toBeGreaterThan(2);
  });

  test('of one release is the exact figure', () => {
    const { noiseMultiplier } = calibrateNoise(ask({ q: 1, steps: 1, eps: 1, delta: 1e-5 }));
    expect(noiseMultiplier / 3.7306316348159414).toBeGreaterThanOrEqual(1);
    expect(noiseMultiplier / 3.7306316348159414).toBeLessThan(1.001);
  });

  test('refuses what no noise can do', () => {
    expect(() => calibrateNoise(ask({ q: 1, steps: 1e15, eps: 1e-3, delta: 1e-12 }))).toThrow(
      /No noise multiplier/,
    );
    expect(() => calibrateNoise(ask({ q: 1, steps: 1, eps: 0, delta: 1e-12 }))).toThrow(/above 0/);
  });
});

describe('the statement', () => {
  const guarantee = { epsilon: 1.2341, delta: 1e-5, neighbours: 'add-remove', accountant: 'rdp' } as const;
  const bounds = { rdp: { epsilon: 1.2341, order: 8 } };

  test('rounds to the unfavourable side', () => {
    const text = guaranteeStatement({ ...guarantee, epsilon: 1.23401, bounds }, 'client');
    expect(text).toContain('(ε, δ) = (1.235, 0.00001) for each client');
    expect(text).toContain('3.435 times as likely');
    expect(text).toContain('1 in 100,000');
    expect(text).toContain('77.46 % of the time');
  });

  test('says so when there is nothing to say', () => {
    const nothing = { ...guarantee, epsilon: Number.POSITIVE_INFINITY, bounds };
    expect(guaranteeStatement(nothing, 'example')).toMatch(/^Nothing is guaranteed/);
  });
});
