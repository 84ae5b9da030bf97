/**
 * The discrete Gaussian on the integers, P(x) ∝ exp(−x² / 2σ²), drawn exactly: no distribution function is rounded (Canonne, Kamath &
 * Steinke 2020, "The discrete Gaussian for differential privacy", algorithms 1 to 3). Comparisons are made in float64 and settled in
 * integers where float64 cannot tell, once in some 2⁴⁰. Where the words come from is the caller's affair.
 */

import { assert } from '../base/errors.ts';
import type { RandomWords } from './gaussian.ts';

/** A non-negative rational number; float64 products are near it, the integers are it. */
interface Ratio {
  readonly near: number;
  exact(): readonly [numerator: bigint, denominator: bigint];
}

/** `variance`: σ², a whole number below 2⁵². */
export function discreteGaussian(variance: number, words: RandomWords): () => number {
  assert(Number.isSafeInteger(variance) && variance > 0 && variance < 2 ** 52, `σ² = ${variance}`);
  const scale = Math.floor(Math.sqrt(variance)) + 1;
  return () => {
    for (;;) {
      const candidate = discreteLaplace(scale, words);
      if (bernoulliExp(distanceFrom(candidate, variance, scale), words)) return candidate;
    }
  };
}

/** (|y| − σ²/t)² / 2σ² = (|y| t − σ²)² / (2 σ² t²). */
function distanceFrom(candidate: number, variance: number, scale: number): Ratio {
  const gap = Math.abs(candidate) * scale - variance;
  return {
    near: (gap / scale) ** 2 / (2 * variance),
    exact() {
      const [y, v, t] = [BigInt(Math.abs(candidate)), BigInt(variance), BigInt(scale)];
      return [(y * t - v) ** 2n, 2n * v * t ** 2n];
    },
  };
}

/** P(x) ∝ exp(−|x| / t). */
function discreteLaplace(scale: number, words: RandomWords): number {
  for (;;) {
    const rest = below(scale, words);
    if (!bernoulliExp(fraction(rest, scale), words)) continue;
    let whole = 0;
    while (bernoulliExpSmall(ONE, words)) whole++;
    const magnitude = rest + scale * whole;
    const isNegative = (words() & 1) === 1;
    if (!isNegative || magnitude > 0) return isNegative ? -magnitude : magnitude;
  }
}

function fraction(numerator: number, denominator: number): Ratio {
  return { near: numerator / denominator, exact: () => [BigInt(numerator), BigInt(denominator)] };
}

const ONE = fraction(1, 1);

/** True with probability e^−γ. */
function bernoulliExp(gamma: Ratio, words: RandomWords): boolean {
  const { whole, rest } = split(gamma);
  for (let i = 0; i < whole; i++) if (!bernoulliExpSmall(ONE, words)) return false;
  return bernoulliExpSmall(rest, words);
}

/** Relative error of a few products in float64, generously. */
const ERROR = 2 ** -46;

/** γ = whole + rest with rest in [0, 1]. */
function split(gamma: Ratio): { readonly whole: number; readonly rest: Ratio } {
  if (gamma.near <= 1 - ERROR) return { whole: 0, rest: gamma };
  const whole = Math.floor(gamma.near);
  const isClear =
    whole === Math.floor(gamma.near * (1 - ERROR)) && whole === Math.floor(gamma.near * (1 + ERROR));
  const [numerator, denominator] = gamma.exact();
  const exactWhole = isClear ? BigInt(whole) : numerator / denominator;
  const left = numerator - exactWhole * denominator;
  return {
    whole: Number(exactWhole),
    rest: { near: Number((left << 60n) / denominator) * 2 ** -60, exact: () => [left, denominator] },
  };
}

/** True with probability e^−γ for γ ≤ 1: the first k at which a coin of probability γ/k fails is odd. */
function bernoulliExpSmall(gamma: Ratio, words: RandomWords): boolean {
  let k = 1;
  while (bernoulli(gamma, k, words)) k++;
  return k % 2 === 1;
}

/** True with probability γ/k: the bits of a uniform number are drawn until they tell. */
function bernoulli(gamma: Ratio, k: number, words: RandomWords): boolean {
  const bits = (words() >>> 6) * 2 ** 26 + (words() >>> 6);
  const uniform = bits * 2 ** -52;
  const probability = gamma.near / k;
  if (uniform + 2 ** -52 <= probability * (1 - ERROR) - 2 ** -58) return true;
  if (uniform >= probability * (1 + ERROR) + 2 ** -58) return false;
  const [numerator, denominator] = gamma.exact();
  let drawn = BigInt(bits);
  let target = (numerator << 52n) / (denominator * BigInt(k));
  for (let digits = 52n; ; digits += 32n) {
    if (drawn !== target || digits > 52n + 4096n) return drawn < target;
    drawn = (drawn << 32n) + BigInt(words());
    target = (numerator << (digits + 32n)) / (denominator * BigInt(k));
  }
}

/** Uniform in {0 … n − 1}, without bias. */
function below(n: number, words: RandomWords): number {
  const span = 2 ** 52 - (2 ** 52 % n);
  for (;;) {
    const drawn = (words() >>> 6) * 2 ** 26 + (words() >>> 6);
    if (drawn < span) return drawn % n;
  }
}
