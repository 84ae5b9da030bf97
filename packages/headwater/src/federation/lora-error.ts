/**
 * How far a round's result is from the mean of the clients' products, the thing that averaging factors gets wrong: figures
 * beside accuracy. In units of B A, over all modules; the scale s drops out where modules share it. It knows no method.
 */

import { residualOf } from './base-residual.ts';
import { matrixOf, productInner, productNorm, withColumns, withRows } from './linear-algebra.ts';
import {
  type ClientFactors,
  cohortOf,
  covarianceStack,
  type ModuleCohort,
  type SentAs,
  weightedStack,
} from './lora-cohort.ts';
import type { RoundParams, WeightedUpdate } from './method.ts';

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
export function averagingError(modules: Iterable<ModuleCohort>): LoraError {
  return inAll(Array.from(modules, (module) => ({ error: averagingNorm(module), whole: sentNorm(module) })));
}

/** Figures of one module, ‖ · ‖_F. */
interface ModuleError {
  readonly error: number;
  readonly whole: number;
}

function averagingNorm({ before, clients }: ModuleCohort): number {
  const { b, a } = covarianceStack(clients.map((client) => padded(client, before.a.rows)));
  return productNorm(b, a);
}

/** ‖Σ p_k B_k A_k‖ */
function sentNorm({ clients }: ModuleCohort): number {
  const { b, a } = weightedStack(clients);
  return productNorm(b, a);
}

/**
 * The method's own: what it added to R + B A beside the mean of the products S, ‖B A + ΔR − S‖ with params of the next round.
 * Without a residual ‖B A‖² − 2 ⟨B A, S⟩ + ‖S‖², which is exact to about 1e-8 of ‖S‖: the stack is by far the larger one.
 */
function aggregationNorm(
  { names, clients }: ModuleCohort,
  { before, after }: RoundParams,
  whole: number,
): number {
  const sent = weightedStack(clients);
  const [b, a] = [matrixOf(after.get(names.b)!), matrixOf(after.get(names.a)!)];
  const [old, next] = [residualOf(before, names.a), residualOf(after, names.a)];
  if (old !== undefined && next !== undefined)
    return b.mmul(a).add(next).sub(old).sub(sent.b.mmul(sent.a)).norm('frobenius');
  const squares = productNorm(b, a) ** 2 - 2 * productInner(b, a, sent.b, sent.a) + whole ** 2;
  return Math.sqrt(Math.max(0, squares));
}

function padded(client: ClientFactors, rank: number): ClientFactors {
  return { ...client, a: withRows(client.a, rank), b: withColumns(client.b, rank) };
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
    const modules = Array.from(cohortOf(updates, round.before, sentAs), (module) => {
      const whole = sentNorm(module);
      return {
        averaging: { error: averagingNorm(module), whole },
        aggregation: { error: aggregationNorm(module, round, whole), whole },
      };
    });
    if (modules.length === 0) return {};
    return {
      averagingError: inAll(modules.map(({ averaging }) => averaging)).relative,
      aggregationError: inAll(modules.map(({ aggregation }) => aggregation)).relative,
    };
  };
}
