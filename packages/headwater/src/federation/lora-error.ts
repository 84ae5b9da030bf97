/**
 * How far a round's result is from the mean of the clients' products, the thing that averaging factors gets wrong: figures
 * beside accuracy. In units of B A, over all modules; the scale s drops out where modules share it. It knows no method.
 */

import type { Params } from '../base/tensor.ts';
import { residualOf } from './base-residual.ts';
import { plus } from './linear-algebra.ts';
import { factorPairs, type ModuleCohort, type SentAs } from './lora-cohort.ts';
import type { RoundParams, WeightedUpdate } from './method.ts';
import {
  distanceTo,
  type OuterSum,
  outerGram,
  outerNorm,
  outerOfTensors,
  outerTimes,
  together,
} from './outer-products.ts';

export interface LoraError {
  /** ‖error‖_F over all modules. */
  readonly norm: number;
  /** Over ‖Σ p_k B_k A_k‖_F; 0 where that is 0. */
  readonly relative: number;
}

/**
 * FedIT's: ‖B̄ Ā − Σ p_k B_k A_k‖ = ‖Σ p_k (B_k − B̄)(A_k − Ā)‖ with missing ranks as zeros, whatever the method made of the
 * updates. 0 for clients that agree.
 */
export function averagingError(
  updates: readonly WeightedUpdate[],
  params: Params,
  sentAs: SentAs,
): LoraError {
  return inAll(
    factorPairs(updates[0]?.update ?? new Map()).map((names) => {
      const { mean, lost } = meanProduct(updates, params, sentAs, names);
      return { error: outerNorm(lost), whole: outerNorm(together([mean, lost])) };
    }),
  );
}

/** Figures of one module, ‖ · ‖_F. */
interface ModuleError {
  readonly error: number;
  readonly whole: number;
}

/** S = Σ p_k B_k A_k in two parts. */
interface MeanProduct {
  /** B̄ Ā */
  readonly mean: OuterSum;
  /** Σ p_k (B_k − B̄)(A_k − Ā): centred first, so that nothing cancels. */
  readonly lost: OuterSum;
}

function meanProduct(
  updates: readonly WeightedUpdate[],
  params: Params,
  sentAs: SentAs,
  { a, b }: ModuleCohort['names'],
): MeanProduct {
  const total = updates.reduce((sum, { aggregationWeight }) => sum + aggregationWeight, 0);
  const before = outerOfTensors(params.get(b)!, params.get(a)!);
  const clients = updates.map(({ aggregationWeight, update }) => {
    const own = outerOfTensors(update.get(b)!, update.get(a)!);
    if (sentAs === 'difference') moved(own, before);
    return { own, share: aggregationWeight / total };
  });
  const rank = Math.max(...[before, ...clients.map(({ own }) => own)].map(({ rows }) => rows.length));
  const mean = zerosOf(before, rank);
  for (const { own, share } of clients) addTo(mean, own, share);
  return { mean, lost: together(clients.map(({ own, share }) => centred(own, mean, share))) };
}

/** share · (B_k − B̄)(A_k − Ā); a client of a lower rank has zeros there. */
function centred(own: OuterSum, mean: OuterSum, share: number): OuterSum {
  return {
    columns: mean.columns.map((vector, j) => apart(own.columns[j], vector, share)),
    rows: mean.rows.map((vector, j) => apart(own.rows[j], vector, 1)),
  };
}

function apart(vector: Float64Array | undefined, mean: Float64Array, factor: number): Float64Array {
  const moved = new Float64Array(mean.length);
  if (vector === undefined) for (let i = 0; i < moved.length; i++) moved[i] = -factor * mean[i]!;
  else for (let i = 0; i < moved.length; i++) moved[i] = factor * (vector[i]! - mean[i]!);
  return moved;
}

/** As trained: where it began, cut to its rank, is added to the difference. */
function moved({ columns, rows }: OuterSum, before: OuterSum): void {
  for (const [j, column] of columns.entries()) addVector(column, before.columns[j]!, 1);
  for (const [j, row] of rows.entries()) addVector(row, before.rows[j]!, 1);
}

/** Of the factors, not of their products. */
function addTo(sum: OuterSum, { columns, rows }: OuterSum, factor: number): void {
  for (const [j, column] of columns.entries()) addVector(sum.columns[j]!, column, factor);
  for (const [j, row] of rows.entries()) addVector(sum.rows[j]!, row, factor);
}

function addVector(sum: Float64Array, vector: Float64Array, factor: number): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += factor * vector[i]!;
}

function zerosOf({ columns, rows }: OuterSum, rank: number): OuterSum {
  const zeros = (length: number) => Array.from({ length: rank }, () => new Float64Array(length));
  return { columns: zeros(columns[0]!.length), rows: zeros(rows[0]!.length) };
}

/**
 * Of one module: what averaging would have lost, and what the method lost, ‖B A + ΔR − S‖ with params of the next round.
 * Without a residual ‖B A‖² − 2 ⟨B A, S⟩ + ‖S‖², which is exact to about 1e-8 of ‖S‖.
 */
function errorsOf(names: ModuleCohort['names'], { mean, lost }: MeanProduct, { before, after }: RoundParams) {
  const made = outerOfTensors(after.get(names.b)!, after.get(names.a)!);
  const gram = outerGram([made, mean, lost]);
  const within = (i: number, j: number) => gram[i]![j]!;
  const squared = within(1, 1) + 2 * within(1, 2) + within(2, 2);
  const whole = root(squared);
  const [old, next] = [residualOf(before, names.a), residualOf(after, names.a)];
  const error =
    old !== undefined && next !== undefined
      ? distanceTo(together([made, outerTimes(mean, -1), outerTimes(lost, -1)]), plus(next, old, -1))
      : root(within(0, 0) - 2 * (within(0, 1) + within(0, 2)) + squared);
  return { averaging: { error: root(within(2, 2)), whole }, aggregation: { error, whole } };
}

/** Of a square that rounding may leave below zero. */
function root(square: number): number {
  return Math.sqrt(Math.max(0, square));
}

function inAll(modules: readonly ModuleError[]): LoraError {
  const norm = Math.hypot(...modules.map(({ error }) => error));
  const whole = Math.hypot(...modules.map((module) => module.whole));
  return { norm, relative: whole === 0 ? 0 : norm / whole };
}

/**
 * Figures of a method's round, relative to the mean of the products: what averaging the factors would have lost of it, and what
 * the method itself lost. None where no pair of factors travels.
 */
export function loraFigures(sentAs: SentAs) {
  return (
    updates: readonly WeightedUpdate[],
    _options: unknown,
    round: RoundParams,
  ): Readonly<Record<string, number>> => {
    const modules = factorPairs(updates[0]?.update ?? new Map()).map((names) =>
      errorsOf(names, meanProduct(updates, round.before, sentAs, names), round),
    );
    if (modules.length === 0) return {};
    return {
      averagingError: inAll(modules.map(({ averaging }) => averaging)).relative,
      aggregationError: inAll(modules.map(({ aggregation }) => aggregation)).relative,
    };
  };
}
