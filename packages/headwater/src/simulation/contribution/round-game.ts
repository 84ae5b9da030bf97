/**
 * One round of a finished run as a game: v(S) is minus the validation loss after the round with the owners of S alone in it, row
 * by row, and of nobody the loss with the params before it. Where the server realigns what the round gave, that follows whoever is in
 * it, so that what it adds is nobody's. Whose worth is asked for is decided elsewhere.
 */

import type { Utility, Worth } from '../../federation/contribution/shapley.ts';
import type { CoalitionJob } from '../../jobs/jobs.ts';
import type { Pool } from '../../jobs/pool.ts';
import { realignment, serverTraining } from '../../jobs/training-options.ts';
import type { ExampleScore } from '../../training/engine.ts';
import { paramsAfter, type StoredRun } from '../unlearning/stored-run.ts';
import type { CoalitionValues } from './coalition-values.ts';

export interface RoundGame {
  readonly round: number;
  /** Sorted; players by their positions. */
  readonly owners: readonly string[];
  readonly utility: Utility;
}

export interface Scorers {
  readonly pool: Pool;
  readonly values: CoalitionValues;
  /** Of the validation set. */
  readonly positions: readonly number[];
  /** `isNew`: it was not known from before. */
  onScored(isNew: boolean): void;
}

export function roundGame(stored: StoredRun, round: number, scorers: Scorers): RoundGame {
  const owners = Object.keys(stored.state.closed[round - 1]!.members).sort();
  const { pool, values, onScored } = scorers;
  const utility: Utility = async (coalition) => {
    const names = coalition.map((i) => owners[i]!);
    const key = JSON.stringify([round, names]);
    const known = values.of(key);
    if (known !== undefined) {
      onScored(false);
      return Float64Array.from(known);
    }
    const { result } = await pool.run(coalitionJob(stored, round, names, scorers), 0);
    const worth = worthOf(result);
    await values.keep(key, [...worth]);
    onScored(true);
    return worth;
  };
  return { round, owners, utility };
}

/** −nllᵢ · n / Σ targets: their mean is minus the loss per target. */
function worthOf(scores: readonly ExampleScore[]): Worth {
  const targets = scores.reduce((sum, { numTargets }) => sum + numTargets, 0);
  return Float64Array.from(scores, ({ nll }) => (-nll * scores.length) / Math.max(1, targets));
}

function coalitionJob(
  { state, prepared }: StoredRun,
  round: number,
  owners: readonly string[],
  { positions }: Scorers,
): CoalitionJob {
  const { plan, closed, roster } = state;
  const { fixedPoint, serverLearningRate } = plan;
  const { recipe } = prepared;
  const members = owners.map((owner) => ({
    owner,
    update: closed[round - 1]!.members[owner]!,
    aggregationWeight: roster[owner]!.aggregationWeight,
  }));
  const work = {
    ...({
      kind: 'aggregate',
      id: `aggregate/${round}`,
      round,
      params: paramsAfter(state, round - 1),
    } as const),
    ...{ serverState: closed[round - 2]?.serverState ?? null, members, membership: '', participation: 1 },
  };
  // As few rows of padding as batches of about that size allow.
  const batches = Math.ceil(positions.length / recipe.evaluation.batchSize);
  return {
    ...{ kind: 'coalition', work, fixedPoint, serverLearningRate, positions },
    training: serverTraining(recipe, plan, round),
    realign: realignment(recipe, plan, round),
    batchSize: Math.ceil(positions.length / batches),
    maxLength: recipe.data.maxLength,
  };
}
