/** What a run's privacy has cost, in a sentence. Pure; what it means is the ledger's own statement. */

import type { PrivacyRow } from '@headwater/runs/view/rows.ts';
import { count } from '../../shared/format.ts';

/** Undefined where nothing is claimed. */
export function privacySpent({ epsilon, mostEpsilon, delta, releases }: PrivacyRow): string | undefined {
  if (delta === null || (epsilon === null && mostEpsilon === null)) return undefined;
  const limit = mostEpsilon === null ? '' : ` of at most ${upwards(mostEpsilon)} for any owner`;
  if (epsilon === null) return `Nothing was released yet: ε = 0${limit}, at δ = ${delta}.`;
  const after = `after ${count(releases)} ${releases === 1 ? 'release' : 'releases'}`;
  return `ε = ${upwards(epsilon)}${limit} is spent ${after}, at δ = ${delta}.`;
}

/** The first sentence of a statement about masks, without the name that stands above it, and the others. */
export function maskedSentences(statement: string): readonly [first: string, rest: string] {
  const text = statement.replace(/^Secure aggregation: /, '');
  const end = text.indexOf('. ') + 1 || text.length;
  return [text.charAt(0).toUpperCase() + text.slice(1, end), text.slice(end).trim()];
}

/** Three digits, never below the value: a budget must not look larger than it is. */
function upwards(value: number): string {
  if (value <= 0) return '0';
  const unit = 10 ** (Math.floor(Math.log10(value)) - 2);
  return String(Number((Math.ceil(value / unit - 1e-9) * unit).toPrecision(3)));
}
