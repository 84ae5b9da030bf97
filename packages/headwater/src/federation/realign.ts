/**
 * Realignment after aggregation (Ye et al., ICLR 2025, arXiv:2406.10630): in some rounds the server trains the global params on
 * examples of its own before the next owners get them. What a plan says of it, and what it needs of a run; it trains nothing.
 */

import type { BoundMethod, RunFacts } from './method.ts';

export interface RealignPlan {
  /** In rounds that this divides, and in the last. */
  readonly everyRounds: number;
  readonly steps: number;
  /** Undefined: that of the clients’ optimizer. */
  readonly learningRate?: number | undefined;
}

export function isRealigned(
  { realign, rounds }: { readonly realign?: RealignPlan | undefined; readonly rounds: number },
  round: number,
): boolean {
  return realign !== undefined && (round % realign.everyRounds === 0 || round === rounds);
}

/** One sentence for each. */
export function realignMistakes(
  realign: RealignPlan | undefined,
  { numPublicExamples, examples }: Pick<RunFacts, 'numPublicExamples' | 'examples'>,
  { id, combine, rule, serverTrain, wirePerOwner }: BoundMethod,
): string[] {
  if (realign === undefined) return [];
  const mistakes: string[] = [];
  if ((combine !== undefined && rule === undefined) || serverTrain !== undefined || wirePerOwner)
    mistakes.push(
      `federation.realign trains what a mean made, but ${id} makes the next params in another way; choose a method that averages, as docs/methods.md tells`,
    );
  if (examples === 'pairs')
    mistakes.push(
      'federation.realign trains on single answers, but the objective learns from pairs; leave one of the two out',
    );
  if (numPublicExamples === 0)
    mistakes.push('federation.realign trains on examples of the server: name a file of them as data.public');
  return mistakes;
}
