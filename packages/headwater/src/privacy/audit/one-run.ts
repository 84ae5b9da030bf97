/**
 * A lower bound on ε from one run with many canaries, each in or out by a fair coin (Steinke, Nasr, Jagielski 2023, "Privacy Auditing
 * with One (1) Training Run", Theorem 5.2): of r guesses v were right; a mechanism with (ε, δ) would do so well only with
 *
 *   p ≤ P[B ≥ v] + 2 m δ · max_{1 ≤ i ≤ v} P[v > B ≥ v − i] / i,  B ~ Binomial(r, e^ε / (1 + e^ε)).
 *
 * The guesses may depend on everything that was released. It knows no mechanism.
 */

export interface OneRunGuesses {
  /** m, canaries. */
  readonly canaries: number;
  /** r, of which something was guessed. */
  readonly guesses: number;
  /** v, right ones. */
  readonly right: number;
  readonly delta: number;
}

/** An upper bound on the chance to guess so well against an (ε, δ) mechanism. */
export function oneRunPValue({ canaries, guesses, right, delta }: OneRunGuesses, epsilon: number): number {
  const chance = binomial(guesses, 1 / (1 + Math.exp(-epsilon)));
  let tail = 0;
  for (let k = guesses; k >= right; k--) tail += chance(k);
  let [sum, steepest] = [0, 0];
  for (let i = 1; i <= right; i++) {
    sum += chance(right - i);
    steepest = Math.max(steepest, sum / i);
  }
  return Math.min(1, tail + 2 * canaries * delta * steepest);
}

const STEPS = 40;
/** Beyond it nothing is promised anyway. */
const LARGEST_EPSILON = 64;

/** The largest ε that is refuted at this level: with probability ≥ 1 − level the mechanism is not (ε, δ) private. 0: nothing is. */
export function epsilonLowerBound(guesses: OneRunGuesses, level = 0.05): number {
  const isRefuted = (epsilon: number) => oneRunPValue(guesses, epsilon) < level;
  if (!isRefuted(0)) return 0;
  let [low, high] = [0, LARGEST_EPSILON];
  for (let step = 0; step < STEPS; step++) {
    const middle = (low + high) / 2;
    if (isRefuted(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** P[B = k], in log space: many canaries make tiny terms. */
function binomial(count: number, chance: number): (k: number) => number {
  const logFactorials = new Float64Array(count + 1);
  for (let k = 2; k <= count; k++) logFactorials[k] = logFactorials[k - 1]! + Math.log(k);
  const [win, lose] = [Math.log(chance), Math.log1p(-chance)];
  return (k) => {
    const ways = logFactorials[count]! - logFactorials[k]! - logFactorials[count - k]!;
    const loses = k === count ? 0 : (count - k) * lose;
    return Math.exp(ways + k * win + loses);
  };
}

/**
 * Guesses from scores: the `guesses` / 2 highest are taken to be in, as many lowest to be out, of the others nothing is said. How
 * many must be fixed before the scores are seen.
 */
export function guessesFrom(
  scores: readonly number[],
  isIn: readonly boolean[],
  guesses: number,
): Pick<OneRunGuesses, 'canaries' | 'guesses' | 'right'> {
  const order = scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]!);
  const half = Math.floor(Math.min(guesses, scores.length) / 2);
  const right =
    order.slice(0, half).filter((i) => isIn[i]).length +
    order.slice(scores.length - half).filter((i) => !isIn[i]).length;
  return { canaries: scores.length, guesses: 2 * half, right };
}
