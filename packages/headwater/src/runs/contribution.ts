/** What each owner added to a run, as `contribution.json` in its folder has it. How it comes about is elsewhere. */

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { runPaths } from './run-folder.ts';

const VERSION = 2;

export interface Contribution {
  readonly version: typeof VERSION;
  /** What a coalition is worth. */
  readonly unit: 'nats of validation loss';
  /** Those that were looked at. */
  readonly rounds: readonly number[];
  readonly roundsOfRun: number;
  /** Different coalitions whose worth was asked for. */
  readonly coalitions: number;
  /** Of GTG-Shapley, in all rounds; 0 where all coalitions were scored. */
  readonly permutations: number;
  /** Validation rows. */
  readonly numExamples: number;
  readonly owners: readonly OwnerContribution[];
}

/** A figure with half the width of its 95 % interval; null where one value is all there is. */
export interface Figure {
  readonly value: number;
  readonly halfWidth: number | null;
}

/** Sums over the rounds that were looked at; positive: the loss fell with it. */
export interface OwnerContribution {
  readonly owner: string;
  readonly rounds: number;
  /** Uncertain by the choice of validation rows. */
  readonly leaveOneOut: Figure;
  /** By the choice of validation rows and of permutations together; exact in the latter where a round has few members. */
  readonly shapley: Figure & { readonly ofPermutations: number | null };
  /** Mean over its rounds of cos(ΔW_k, ΔW̄). */
  readonly similarity: number | null;
}

/** Undefined: nobody computed it, or an older version did. */
export async function readContribution(folder: string): Promise<Contribution | undefined> {
  const { contribution } = runPaths(folder);
  if (!existsSync(contribution)) return undefined;
  const found = JSON.parse(await readFile(contribution, 'utf8')) as Contribution;
  return found.version === VERSION ? found : undefined;
}
