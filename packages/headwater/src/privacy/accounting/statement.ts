/** A guarantee in sentences for people who answer for data protection. Figures are rounded to the unfavourable side. */

import { formatCount } from '../../base/format.ts';
import type { PrivacyGuarantee } from './account.ts';
import type { Neighbours } from './steps.ts';

/** Whose data are protected: all of one client, or one example. */
export const PRIVACY_UNITS = ['client', 'example'] as const;
export type PrivacyUnit = (typeof PRIVACY_UNITS)[number];

/** What (ε, δ) means, in two sentences; says so when nothing is guaranteed. */
export function guaranteeStatement(guarantee: PrivacyGuarantee, unit: PrivacyUnit): string {
  const { epsilon, delta, neighbours } = guarantee;
  if (epsilon === Number.POSITIVE_INFINITY)
    return `Nothing is guaranteed: what is released may reveal everything about a single ${unit}.`;
  const factor = roundedUp(Math.exp(epsilon));
  const odds = `1 in ${formatCount(Math.floor((1 / delta) * (1 + 1e-12)))}`;
  return (
    `(ε, δ) = (${roundedUp(epsilon)}, ${delta}) for each ${unit}: ${CHANGES[neighbours](unit)} makes anything ` +
    `that is released at most ${factor} times as likely, apart from a probability of ${odds}. ` +
    `Somebody to whom both cases are equally likely beforehand, and who then sees everything that is released, ` +
    `guesses right at most ${roundedUp(100 * bestGuess(epsilon, delta))} % of the time.`
  );
}

/** The most that a test of one case against the other can be right: 1 − (1 − δ)/(1 + e^ε) (Kairouz, Oh, Viswanath 2015). */
function bestGuess(epsilon: number, delta: number): number {
  return 1 - (1 - delta) / (1 + Math.exp(epsilon));
}

const CHANGES: Readonly<Record<Neighbours, (unit: PrivacyUnit) => string>> = {
  'add-remove': (unit) => `whether one ${unit} was there or not`,
  'replace-one': (unit) => `exchanging one ${unit} for another`,
  'zero-out': (unit) => `whether one ${unit} contributed or sent nothing`,
};

/** Four significant digits, never below the value. */
function roundedUp(value: number): number | string {
  if (value === 0) return 0;
  if (value >= 1e6) return value.toExponential(1).replace('e+', 'e');
  const unit = 10 ** (Math.floor(Math.log10(value)) - 3);
  return Number((Math.ceil(value / unit - 1e-9) * unit).toPrecision(4));
}
