/**
 * Degree and threshold of the graph of neighbours (Bell et al. 2020, "Secure single-server aggregation with (poly)logarithmic
 * overhead", Theorems 3.10 and 4.3, as Google's HararyGraphParameterFinder computes them): the smallest degree at which,
 * but for a chance of 2⁻⁴⁰, the honest stay connected and no neighbourhood holds `threshold` adversaries, and, but for one of
 * 2⁻²⁰, `threshold` neighbours of everybody stay to the end.
 */

import { assert } from '../../base/errors.ts';
import { type Hypergeometric, hypergeometric, logFactorial } from './log-factorial.ts';

export interface GraphAssumptions {
  readonly numMembers: number;
  /** Largest share of members that work together against others. */
  readonly adversaries: number;
  /** Largest share of members that drop out. */
  readonly dropouts: number;
  /** The server may deviate, as far as the consistency round does not show. */
  readonly server: 'curious' | 'semi-malicious';
}

export interface GraphParameters {
  /** Neighbours of a member; even. */
  readonly degree: number;
  /** Shares that open a secret. */
  readonly threshold: number;
}

/** 2⁻⁴⁰, half for each of two events. */
const SECURITY_BITS = 41;
const CORRECTNESS_BITS = 20;
/** Rates such as 0.33 are a hair below what is meant. */
const RATE_ROUNDING = 1e-14;

/** Undefined: no graph but the complete one will do. */
export function smallestGraph(assumptions: GraphAssumptions): GraphParameters | undefined {
  const { numMembers, server } = assumptions;
  assert(numMembers >= 2, `a graph of ${numMembers}`);
  const adversaries = assumptions.adversaries + RATE_ROUNDING;
  const dropouts = assumptions.dropouts + RATE_ROUNDING;
  const corrupt = Math.floor(adversaries * numMembers);
  const bad = corrupt + Math.floor(dropouts * numMembers);
  const staying = Math.ceil((1 - dropouts) * numMembers);
  for (let degree = 2; degree < numMembers - 1; degree += 2) {
    if (!staysConnected(numMembers, degree, bad)) continue;
    const drawn = { population: numMembers, drawn: degree };
    const most = mostCorrupt({ ...drawn, marked: corrupt });
    const secure = server === 'curious' ? most : Math.ceil((most + degree - 1.25) / 2);
    if (leastStaying({ ...drawn, marked: staying }) > secure)
      return { degree, threshold: Math.max(secure + 1, 2) };
  }
  return undefined;
}

/** A ring falls apart only where half a neighbourhood side by side is bad on two sides. */
function staysConnected(n: number, degree: number, bad: number): boolean {
  if (degree > bad) return true;
  const log =
    Math.log(n) +
    Math.log(n - degree - 1) -
    Math.LN2 +
    logFactorial(bad) +
    logFactorial(n - degree) -
    logFactorial(n) -
    logFactorial(bad - degree);
  return log < -SECURITY_BITS * Math.LN2;
}

/** Smallest t with P[X > t] ≤ 2⁻⁴¹ / n, summed from the small end of the tail. */
function mostCorrupt(distribution: Hypergeometric): number {
  const limit = 2 ** -SECURITY_BITS / distribution.population;
  let tail = 0;
  for (let t = distribution.drawn; t >= 0; t--) {
    const next = tail + hypergeometric(distribution, t);
    if (next > limit) return t;
    tail = next;
  }
  return 0;
}

/** Smallest t with P[X ≤ t] ≥ 2⁻²⁰ / n. */
function leastStaying(distribution: Hypergeometric): number {
  const limit = 2 ** -CORRECTNESS_BITS / distribution.population;
  let sum = 0;
  for (let t = 0; t < distribution.drawn; t++) {
    sum += hypergeometric(distribution, t);
    if (sum >= limit) return t;
  }
  return distribution.drawn;
}
