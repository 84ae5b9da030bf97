/** What each owner added to a run, as `contribution.json` in its folder has it. How it comes about is elsewhere. */

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Share } from '../federation/contribution/shapley.ts';
import { runPaths } from './run-folder.ts';

export interface Contribution {
  readonly version: 1;
  /** What a coalition is worth. */
  readonly unit: 'nats of validation loss';
  /** Those that were looked at. */
  readonly rounds: readonly number[];
  readonly roundsOfRun: number;
  /** Coalitions that were scored. */
  readonly evaluations: number;
  /** Validation rows. */
  readonly numExamples: number;
  readonly owners: readonly OwnerContribution[];
}

/** Sums over the rounds that were looked at; positive: the loss fell with it. */
export interface OwnerContribution {
  readonly owner: string;
  readonly rounds: number;
  readonly leaveOneOut: number;
  /** GTG-Shapley; exact where a round has few members. */
  readonly shapley: Share;
  /** Mean over its rounds of cos(ΔW_k, ΔW̄). */
  readonly similarity: number | null;
}

/** Undefined: nobody computed it. */
export async function readContribution(folder: string): Promise<Contribution | undefined> {
  const { contribution } = runPaths(folder);
  return existsSync(contribution) ? JSON.parse(await readFile(contribution, 'utf8')) : undefined;
}
