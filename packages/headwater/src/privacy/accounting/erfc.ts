/** The complementary error function and its relatives, accurate where they are tiny. Knows no statistics and no privacy. */

const SQRT_PI = Math.sqrt(Math.PI);

/** erfc(x) = 2/√π ∫ₓ^∞ e^{−t²} dt, relative error about 1e-15. */
export function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  return expMinusSquare(x) * erfcx(x);
}

/** e^{x²} erfc(x) for x ≥ 0: falls like 1/(x√π), never underflows. Chebyshev series of (1 + 2x) erfcx(x) in (x − K)/(x + K). */
export function erfcx(x: number): number {
  if (x > 1e8) return 1 / (SQRT_PI * x);
  const y = (2 * (x - K)) / (x + K);
  let b0 = 0;
  let b1 = 0;
  for (let m = COEFFICIENTS.length - 1; m > 0; m--) {
    const b2 = b1;
    b1 = b0;
    b0 = y * b1 - b2 + COEFFICIENTS[m]!;
  }
  return (0.5 * y * b0 - b1 + COEFFICIENTS[0]!) / (1 + 2 * x);
}

/** e^{−x²}: the square of the leading 24 bits is exact, so large x lose no digits. */
function expMinusSquare(x: number): number {
  const leading = Math.fround(x);
  return x > 30 ? 0 : Math.exp(-leading * leading) * Math.exp(-(x - leading) * (x + leading));
}

const K = 3.75;
const NODES = 48;
const TERMS = 32;
const COEFFICIENTS = chebyshevCoefficients();

/** Interpolation at Chebyshev's nodes; beyond TERMS the coefficients are below the last bit of a double. */
function chebyshevCoefficients(): Float64Array {
  // Angles are whole multiples of π / 2 NODES, reduced as integers: no digit is lost for high terms.
  const cosine = (halves: number) => Math.cos((Math.PI * (halves % (4 * NODES))) / (2 * NODES));
  const values = Array.from({ length: NODES }, (_, node) => {
    const y = cosine(2 * node + 1);
    const x = (K * (1 + y)) / (1 - y);
    return (1 + 2 * x) * slowErfcx(x);
  });
  return Float64Array.from({ length: TERMS }, (_, m) => {
    const sum = values.reduce((total, value, node) => total + value * cosine(m * (2 * node + 1)), 0);
    return (sum * (m === 0 ? 1 : 2)) / NODES;
  });
}

/** Power series near zero, else Laplace's continued fraction from its tail; slow, run once for each node. */
function slowErfcx(x: number): number {
  if (x < 0.25) {
    let term = (2 * x) / SQRT_PI;
    let erf = 0;
    for (let n = 1; term > 1e-18; n++) {
      erf += term;
      term *= (2 * x * x) / (2 * n + 1);
    }
    return Math.exp(x * x) - erf;
  }
  let tail = 0;
  for (let k = Math.ceil(200 / (x * x)) + 20; k > 0; k--) tail = k / 2 / (x + tail);
  return 1 / (SQRT_PI * (x + tail));
}
