/**
 * What each owner added to a finished run, from its kept updates and its validation set: round by round the round is made again
 * without some of its members, and the loss that the validation set then has is what a coalition is worth. No owner trains again.
 */

import { digestJson } from '../../base/canonical.ts';
import { HeadwaterError } from '../../base/errors.ts';
import { rng } from '../../base/random.ts';
import { meanInterval } from '../../base/student-t.ts';
import {
  exactShapley,
  gtgShapley,
  leaveOneOut,
  meanOfRows,
  remembering,
  type Share,
} from '../../federation/contribution/shapley.ts';
import { similarities } from '../../federation/contribution/similarity.ts';
import { openWorkers } from '../../jobs/workers.ts';
import type { Contribution, Figure, OwnerContribution } from '../../runs/contribution.ts';
import { runPaths } from '../../runs/run-folder.ts';
import type { StoredRun } from '../unlearning/stored-run.ts';
import { openCoalitionValues } from './coalition-values.ts';
import { type RoundGame, roundGame, type Scorers } from './round-game.ts';

export interface ContributionOptions {
  /** Rounds that are looked at, evenly spaced; all where there are fewer. */
  readonly rounds: number;
  /** Permutations of a round at most. */
  readonly permutations: number;
  /** Validation rows, evenly spaced. */
  readonly sample: number;
  /** Coalitions that are asked for at most, in all rounds together. Default: 300, or for everybody to be first once in each round. */
  readonly coalitions?: number | undefined;
  readonly onScored?: (told: ContributionProgress) => void;
}

export interface ContributionProgress {
  /** Rounds that are done, of how many. */
  readonly round: number;
  readonly rounds: number;
  /** Coalitions scored so far; those known from before are not counted. */
  readonly scored: number;
  /** That may still come, at most. */
  readonly left: number;
}

/** Up to so many members all coalitions are scored. */
const EXACT = 5;
/** ε of the truncations, in nats. */
const FLAT = 1e-3;

/** Throws OPTION_INVALID without validation data, or where the coalitions do not reach for one permutation a round. */
export async function contributions(stored: StoredRun, options: ContributionOptions): Promise<Contribution> {
  const { state, prepared, folder } = stored;
  const { recipe } = prepared;
  const pieces = prepared.heldOut.validation?.pieces ?? [];
  if (pieces.length === 0)
    throw new HeadwaterError('OPTION_INVALID', 'the run has no validation data to measure by', {
      hint: 'Give data.validation or data.validationFraction; the test set is for results.',
    });
  const positions = spaced(pieces.length, options.sample).map((number) => number - 1);
  const chosen = spaced(state.closed.length, options.rounds);
  const { coalitions = usualBudget(stored, chosen) } = options;
  checkBudget(stored, chosen, coalitions);
  const paths = runPaths(folder);
  const { dataDigest } = prepared;
  // Earlier versions left the server's part out.
  const server = state.plan.realign === undefined ? {} : { realigned: true };
  const of = digestJson({ plan: state.plan, dataDigest, positions, device: recipe.device, ...server });
  const values = await openCoalitionValues(paths.coalitions, of);
  const pool = openWorkers(prepared, paths.blobs, stored.clock);
  try {
    const share = Math.floor(coalitions / chosen.length);
    const bounds = chosen.map((round) => coalitionsOf(membersIn(stored, round), options.permutations, share));
    const teller = tellProgress(bounds, options);
    const scorers: Scorers = { pool, values, positions, onScored: teller.scored };
    const seen: RoundShares[] = [];
    for (const [i, round] of chosen.entries()) {
      const most = Math.floor((coalitions - askedIn(seen)) / (chosen.length - i));
      const game = roundGame(stored, round, scorers);
      seen.push(await sharesOfRound(stored, game, options.permutations, most));
      teller.ended();
    }
    return {
      version: 2,
      unit: 'nats of validation loss',
      rounds: chosen,
      roundsOfRun: state.closed.length,
      coalitions: askedIn(seen),
      permutations: seen.reduce((sum, { permutations }) => sum + permutations, 0),
      numExamples: positions.length,
      owners: summed(seen),
    };
  } finally {
    await pool.close();
  }
}

function membersIn({ state }: StoredRun, round: number): number {
  return Object.keys(state.closed[round - 1]!.members).length;
}

/** All and nobody, all without one, and the middle of a permutation. */
function fewest(players: number): number {
  return Math.min(2 ** players, 2 * players);
}

const USUAL = 300;

function usualBudget(stored: StoredRun, rounds: readonly number[]): number {
  const most = Math.max(...rounds.map((round) => membersIn(stored, round)));
  // All, nobody, all without one, the middle of a turn, and as many as a permutation may ask for.
  const turn = 2 + 2 * most + most * Math.max(0, most - 2);
  return Math.max(USUAL, rounds.length * turn);
}

function checkBudget(stored: StoredRun, rounds: readonly number[], coalitions: number): void {
  const needed = rounds.reduce((sum, round) => sum + fewest(membersIn(stored, round)), 0);
  if (coalitions >= needed) return;
  throw new HeadwaterError(
    'OPTION_INVALID',
    `${coalitions} coalitions do not reach for one permutation in each of ${rounds.length} rounds, which takes ${needed}`,
    { hint: `Give --coalitions ${needed} or more, or fewer --rounds.` },
  );
}

/** An upper bound. */
function coalitionsOf(players: number, permutations: number, most: number): number {
  const asked = players <= EXACT ? 2 ** players : 2 + players + permutations * Math.max(0, players - 2);
  return Math.min(asked, 2 ** players, most);
}

interface RoundShares {
  readonly owners: readonly string[];
  readonly left: readonly Float64Array[];
  readonly shapley: readonly Share[];
  readonly similar: readonly (number | null)[];
  readonly asked: number;
  readonly permutations: number;
}

function askedIn(rounds: readonly RoundShares[]): number {
  return rounds.reduce((sum, { asked }) => sum + asked, 0);
}

async function sharesOfRound(
  stored: StoredRun,
  { round, owners, utility }: RoundGame,
  permutations: number,
  most: number,
): Promise<RoundShares> {
  const value = remembering(utility);
  const left = await leaveOneOut(owners.length, value);
  const random = rng(stored.prepared.recipe.seed, 'contribution', round);
  const together = 4;
  const affords = (more: number) => value.asked() + more <= most;
  const gtg = { betweenRounds: FLAT, withinRound: FLAT, random, mostPermutations: permutations };
  const exact = owners.length <= EXACT && 2 ** owners.length <= most;
  const { shares, permutations: played } = exact
    ? { shares: await exactShapley(owners.length, value), permutations: 0 }
    : await gtgShapley(owners.length, value, {
        ...gtg,
        fewestPermutations: Math.min(30, permutations),
        together,
        affords,
      });
  const similar = await similarTo(stored, round, owners);
  return { owners, left, shapley: shares, similar, asked: value.asked(), permutations: played };
}

async function similarTo(
  stored: StoredRun,
  round: number,
  owners: readonly string[],
): Promise<(number | null)[]> {
  const { method, state } = stored;
  // Where owners send different tensors there is no one direction.
  if (method.wirePerOwner) return owners.map(() => null);
  const updates = await Promise.all(owners.map((owner) => stored.update(round, owner)));
  const weights = owners.map((owner) => state.roster[owner]!.aggregationWeight);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return similarities({
    updates,
    shares: weights.map((weight) => weight / total),
    params: await stored.params(round - 1),
  });
}

function summed(rounds: readonly RoundShares[]): OwnerContribution[] {
  const names = [...new Set(rounds.flatMap(({ owners }) => owners))].sort();
  return names.map((owner) => {
    const own = rounds.flatMap(({ owners, left, shapley, similar }) => {
      const i = owners.indexOf(owner);
      return i < 0 ? [] : [{ left: left[i]!, share: shapley[i]!, similar: similar[i]! }];
    });
    const known = own.flatMap(({ similar }) => similar ?? []);
    const ofPermutations = inQuadrature(own.map(({ share }) => share.halfWidth));
    const ofRows = figure(own.map(({ share }) => share.rows));
    return {
      owner,
      rounds: own.length,
      leaveOneOut: figure(own.map(({ left }) => left)),
      shapley: {
        value: ofRows.value,
        halfWidth: inQuadrature([ofRows.halfWidth, ofPermutations]),
        ofPermutations,
      },
      similarity: known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length,
    };
  });
}

/** Of sums over rounds, which have their validation rows in common. */
function figure(rounds: readonly Float64Array[]): Figure {
  const rows = rounds[0]!.map((_, row) => rounds.reduce((sum, values) => sum + values[row]!, 0));
  return { value: meanOfRows(rows), halfWidth: meanInterval([...rows])!.halfWidth };
}

/** Permutations are drawn for each round, and have nothing to do with rows. */
function inQuadrature(halfWidths: readonly (number | null)[]): number | null {
  if (halfWidths.includes(null)) return null;
  return Math.sqrt(halfWidths.reduce<number>((sum, width) => sum + width! ** 2, 0));
}

/** `most`: upper bounds of what each round asks for. */
function tellProgress(most: readonly number[], { onScored }: ContributionOptions) {
  let [done, answered, scored] = [0, 0, 0];
  const tell = () => {
    const later = most.slice(done + 1).reduce((sum, bound) => sum + bound, 0);
    const left = Math.max(0, (most[done] ?? 0) - answered) + later;
    onScored?.({ round: done, rounds: most.length, scored, left });
  };
  return {
    scored(isNew: boolean) {
      answered += 1;
      if (isNew) scored += 1;
      tell();
    },
    ended() {
      done += 1;
      answered = 0;
      tell();
    },
  };
}

/** Numbers from 1 to `count`, from the first to the last. */
function spaced(count: number, wanted: number): number[] {
  if (wanted >= count) return Array.from({ length: count }, (_, i) => i + 1);
  if (wanted === 1) return [count];
  return Array.from({ length: wanted }, (_, i) => 1 + Math.round((i * (count - 1)) / (wanted - 1)));
}
