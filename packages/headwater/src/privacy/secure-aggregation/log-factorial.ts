/** ln n! and the hypergeometric distribution in logarithms, for populations up to millions. */

const SMALL = 64;
const TABLE = new Float64Array(SMALL);
for (let n = 2; n < SMALL; n++) TABLE[n] = TABLE[n - 1]! + Math.log(n);

/** Stirling's series from 64 on: its first omitted term is below 1e-16. */
export function logFactorial(n: number): number {
  if (n < SMALL) return TABLE[n]!;
  const x = n + 1;
  const inverse = 1 / (x * x);
  const series = (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse / 1680))) / x;
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series;
}

function logChoose(n: number, k: number): number {
  return logFactorial(n) - logFactorial(k) - logFactorial(n - k);
}

export interface Hypergeometric {
  readonly population: number;
  readonly marked: number;
  readonly drawn: number;
}

/** P[X = x], X the marked ones among those drawn without replacement. */
export function hypergeometric({ population, marked, drawn }: Hypergeometric, x: number): number {
  if (x < Math.max(0, drawn - (population - marked)) || x > Math.min(marked, drawn)) return 0;
  const log = logChoose(marked, x) + logChoose(population - marked, drawn - x) - logChoose(population, drawn);
  return Math.exp(log);
}
