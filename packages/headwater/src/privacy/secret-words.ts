/**
 * Random words straight from the CSPRNG of the platform, for who draws once and never again: nobody, not even the process itself, can
 * repeat them. Works in Node and in browsers.
 */

import type { RandomWords } from './gaussian.ts';

/** Words fetched at once: as many as `getRandomValues` gives. */
const PIECE = 65_536 / 4;

export function secretWords(): RandomWords {
  const piece = new Uint32Array(PIECE);
  let at = PIECE;
  return () => {
    if (at === PIECE) {
      crypto.getRandomValues(piece);
      at = 0;
    }
    const word = piece[at]!;
    piece[at++] = 0;
    return word;
  };
}
