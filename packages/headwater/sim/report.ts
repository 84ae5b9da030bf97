/** What is told about a simulated seed: a plain message between threads, and lines for people. */

import type { Outcome } from './simulate.ts';

export interface Report {
  readonly seed: number;
  readonly violation: { readonly checker: string; readonly message: string; readonly atMs: number } | null;
  readonly status: string;
  readonly hash: string;
  readonly events: number;
  readonly tookMs: number;
}

export function reportOf({ seed, violation, status, hash, events }: Outcome, tookMs: number): Report {
  const found =
    violation === undefined
      ? null
      : { checker: violation.checker, message: violation.message, atMs: violation.atMs };
  return { seed, violation: found, status, hash, events, tookMs };
}

/** `again`: the command that repeats it. */
export function violationLines({ seed, violation }: Report, again: string): string[] {
  if (violation === null) return [];
  const { checker, message, atMs } = violation;
  return [
    `seed ${seed}: ${checker} after ${(atMs / 1000).toFixed(3)} virtual seconds`,
    `  ${message}`,
    `  repeat: ${again} --seed ${seed} --trace`,
  ];
}
