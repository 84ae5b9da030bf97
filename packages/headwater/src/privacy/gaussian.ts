/**
 * Gaussian noise from a stream of random 32-bit words, and its addition to sums of integers. Where the words come from (a
 * keystream of a secret key, or a seed in a simulation) is the caller's affair.
 */

/** Independent uniform 32-bit unsigned integers. */
export type RandomWords = () => number;

/**
 * Standard normals by Box & Muller (1958). The radius is drawn from a uniform number of full exponent, U = m · 2^−(53+e) with
 * a 53-bit m and P(e) = 2^−(e+1), so that tails reach as far as float64 does; a plain 53-bit U would end them at 8.6 σ.
 */
export function gaussianSource(words: RandomWords): () => number {
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(fullExponentUniform(words)));
    const angle = 2 * Math.PI * uniform53(words);
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

/**
 * Adds round(σ · g) to every integer of `sums`, in place, and gives Σ of the squares of what was added. The sums being
 * integers, S + round(N) = round(S + N): rounding is post-processing of the ideal Gaussian mechanism, and the low-order bits
 * of the noise tell nothing of the data (Mironov 2012). `removed`: round(σ · g) of these is taken away, which was added to a sum before.
 */
export function addRoundedGaussian(
  sums: Float64Array,
  sigma: number,
  normal: () => number,
  removed: readonly (() => number)[] = [],
): number {
  let squares = 0;
  for (let i = 0; i < sums.length; i++) {
    let noise = Math.round(sigma * normal());
    for (let k = 0; k < removed.length; k++) noise -= Math.round(sigma * removed[k]!());
    sums[i]! += noise;
    squares += noise * noise;
  }
  return squares;
}

/** In (0, 1). */
function fullExponentUniform(words: RandomWords): number {
  let exponent = 0;
  let word = words();
  while (word === 0) {
    exponent += 32;
    word = words();
  }
  exponent += Math.clz32(word);
  return (2 ** 52 + mantissa52(words)) * 2 ** (-53 - exponent);
}

function mantissa52(words: RandomWords): number {
  const high = words() >>> 12;
  return high * 2 ** 32 + words();
}

/** In [0, 1). */
function uniform53(words: RandomWords): number {
  const high = words() >>> 5;
  return (high * 2 ** 26 + (words() >>> 6)) * 2 ** -53;
}
