/** From a recipe to the noise that a client adds to its own update, the same for virtual and for real clients. */

import type { OwnNoise } from '../federation/own-noise.ts';
import type { Recipe } from '../recipe/schema.ts';
import { clientPrivacy } from './records.ts';

/** Where a recipe leaves the grid of plain sums to Headwater. */
const PLAIN_BITS = 30;

/** `masked`: the grid of masked updates. Undefined: the coordinator adds the noise, or there is none. */
export function ownNoise(
  recipe: Recipe,
  quorum: number,
  masked: { readonly fractionBits: number } | undefined,
  randomness: OwnNoise['randomness'],
): OwnNoise | undefined {
  const privacy = clientPrivacy(recipe);
  if (privacy?.trust === undefined) return undefined;
  const { trust, noiseMultiplier } = privacy;
  const fractionBits = masked?.fractionBits ?? recipe.federation.fixedPoint.fractionBits ?? PLAIN_BITS;
  return { trust, noiseMultiplier, leastShares: quorum, fractionBits, randomness };
}
