/** The discrete Fourier transform of a length that is a power of two and at least 4, in place. Knows numbers only. */

export interface ComplexArray {
  readonly re: Float64Array;
  readonly im: Float64Array;
}

/** X_k = Σ_j x_j exp(∓2πi jk/n), radix 2, decimation in time; the inverse (+) divides by n. */
export function fourier({ re, im }: ComplexArray, direction: 'forward' | 'inverse' = 'forward'): void {
  // Swapping real and imaginary parts conjugates up to a factor i: the inverse is the forward transform on swapped arrays.
  if (direction === 'inverse') {
    transform(im, re);
    for (let k = 0; k < re.length; k++) {
      re[k]! /= re.length;
      im[k]! /= re.length;
    }
  } else transform(re, im);
}

function transform(re: Float64Array, im: Float64Array): void {
  const n = re.length;
  reverseBits(re);
  reverseBits(im);
  const { cos, sin } = twiddles(n);
  for (let half = 1; half < n; half *= 2) {
    const stride = n / (2 * half);
    for (let start = 0; start < n; start += 2 * half)
      for (let j = 0; j < half; j++) {
        const top = start + j;
        const bottom = top + half;
        const c = cos[j * stride]!;
        const s = sin[j * stride]!;
        const oddRe = c * re[bottom]! - s * im[bottom]!;
        const oddIm = c * im[bottom]! + s * re[bottom]!;
        re[bottom] = re[top]! - oddRe;
        im[bottom] = im[top]! - oddIm;
        re[top]! += oddRe;
        im[top]! += oddIm;
      }
  }
}

/** exp(−2πi j/n) for j < n/2, each from its own angle, at most π/2: no error accumulates, each is right to 3.5 · 2⁻⁵³. */
function twiddles(n: number): { cos: Float64Array; sin: Float64Array } {
  const cos = new Float64Array(n / 2);
  const sin = new Float64Array(n / 2);
  const quarter = n / 4;
  for (let j = 0; j < quarter; j++) {
    const angle = (2 * Math.PI * j) / n;
    cos[j] = Math.cos(angle);
    sin[j] = -Math.sin(angle);
    // A quarter turn further.
    cos[j + quarter] = sin[j]!;
    sin[j + quarter] = -cos[j]!;
  }
  return { cos, sin };
}

function reverseBits(values: Float64Array): void {
  const n = values.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i >= j) continue;
    const value = values[i]!;
    values[i] = values[j]!;
    values[j] = value;
  }
}
