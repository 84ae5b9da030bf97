/**
 * How far a round's result is from the mean of the clients' products, the thing that averaging factors gets wrong: figures
 * beside accuracy. In units of B A, over all modules; the scale s drops out where modules share it. It knows no method.
 */

import type { Params } from '../base/tensor.ts';
import { residualOf } from './base-residual.ts';
import { beside, Matrix, matrixOf, productNorm, stacked, withColumns, withRows } from './linear-algebra.ts';
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
export function averagingError(modules: readonly ModuleCohort[]): LoraError {
  return errorOf(modules, ({ before, clients }) => {
    const { b, a } = covarianceStack(clients.map((client) => padded(client, before.a.rows)));
    return productNorm(b, a);
  });
}

/** The method's own: what it added to R + B A beside the mean of the products. `after`: params of the next round. */
export function aggregationError(
  updates: readonly WeightedUpdate[],
  before: Params,
  after: Params,
  sentAs: SentAs,
): LoraError {
  return errorOf(cohortOf(updates, before, sentAs), ({ names, clients }) => {
    const sent = weightedStack(clients);
    const b = beside([matrixOf(after.get(names.b)!), Matrix.mul(sent.b, -1)]);
    const a = stacked([matrixOf(after.get(names.a)!), sent.a]);
    const [old, next] = [residualOf(before, names.a), residualOf(after, names.a)];
    if (old === undefined || next === undefined) return productNorm(b, a);
    return b.mmul(a).add(next).sub(old).norm('frobenius');
  });
}

function padded(client: ClientFactors, rank: number): ClientFactors {
  return { ...client, a: withRows(client.a, rank), b: withColumns(client.b, rank) };
}

function errorOf(modules: readonly ModuleCohort[], of: (module: ModuleCohort) => number): LoraError {
  const norm = Math.hypot(...modules.map(of));
  const whole = Math.hypot(
    ...modules.map(({ clients }) => {
      const { b, a } = weightedStack(clients);
      return productNorm(b, a);
    }),
  );
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
    { before, after }: RoundParams,
  ): Readonly<Record<string, number>> => {
    const cohort = cohortOf(updates, before, sentAs);
    if (cohort.length === 0) return {};
    return {
      averagingError: averagingError(cohort).relative,
      aggregationError: aggregationError(updates, before, after, sentAs).relative,
    };
  };
}
