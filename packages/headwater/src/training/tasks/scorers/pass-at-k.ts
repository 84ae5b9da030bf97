/**
 * Unbiased pass@k of one problem: the chance that one of k samples passes, drawn without replacement from n of which c do,
 * 1 − C(n − c, k) / C(n, k) (Chen et al. 2021, arXiv:2107.03374, equation 1), as the stable product of the authors' code.
 * NaN when there are fewer than k samples: the figure is not told then.
 */
export function passAtK(samples: number, passed: number, k: number): number {
  if (samples < k) return Number.NaN;
  if (samples - passed < k) return 1;
  let none = 1;
  for (let i = samples - passed + 1; i <= samples; i++) none *= 1 - k / i;
  return 1 - none;
}
