/**
 * The factors of a cohort, module by module, for rules that look at products B A and not at elements. Factors are found by
 * name, never by shape. It knows no rule; tensors that are no factors are averaged as everywhere.
 */

import { type Params, type Tensor, tensor } from '../base/tensor.ts';
import { residualGrowth } from './base-residual.ts';
import {
  beside,
  firstColumns,
  firstRows,
  Matrix,
  matrixOf,
  plus,
  stacked,
  tensorOf,
  times,
} from './linear-algebra.ts';
import { loraFactor } from './lora-factors.ts';
import type { CombineContext, WeightedUpdate } from './method.ts';
import { sortedParams } from './params.ts';

/** Factors of one client as it trained them: a [R_k, D], b [E, R_k]. */
export interface ClientFactors {
  readonly owner: string;
  /** p_k = its aggregation weight over that of the cohort. */
  readonly share: number;
  readonly a: Matrix;
  readonly b: Matrix;
}

export interface ModuleCohort {
  /** Names of the two tensors. */
  readonly names: { readonly a: string; readonly b: string };
  /** Global factors before the round: a [R, D], b [E, R]. */
  readonly before: { readonly a: Matrix; readonly b: Matrix };
  /** In the order of the owners' names. */
  readonly clients: readonly ClientFactors[];
}

/** What a rule makes of a module; what it leaves out stays. */
export interface CombinedModule {
  readonly a?: Matrix;
  readonly b?: Matrix;
  /** The residual of the base grows by b a. */
  readonly residual?: { readonly b: Matrix; readonly a: Matrix };
}

/**
 * `difference`: clients sent how far their factors moved from the global ones, cut to their rank; `whole`: the factors
 * themselves, because they began from others.
 */
export type SentAs = 'difference' | 'whole';

/** Applies a rule to every module; gives differences of the global params, to be added to them. */
export function combineModules(
  updates: readonly WeightedUpdate[],
  { params }: Pick<CombineContext, 'params'>,
  sentAs: SentAs,
  rule: (module: ModuleCohort) => CombinedModule,
): Params {
  const factors = new Set(factorPairs(updates[0]?.update ?? new Map()).flatMap(({ a, b }) => [a, b]));
  const changes: [string, Tensor<'float32'>][] = [...meanOfOthers(updates, factors)];
  for (const module of cohortOf(updates, params, sentAs)) {
    const { a, b, residual } = rule(module);
    const { names, before } = module;
    if (a !== undefined) changes.push([names.a, tensorOf(Matrix.sub(a, before.a))]);
    if (b !== undefined) changes.push([names.b, tensorOf(Matrix.sub(b, before.b))]);
    if (residual !== undefined) changes.push(...residualGrowth(params, names.a, residual.b, residual.a));
  }
  return sortedParams(changes);
}

/** The modules whose two factors are in the updates, one at a time: as matrices a large cohort takes much room. */
export function* cohortOf(
  updates: readonly WeightedUpdate[],
  params: Params,
  sentAs: SentAs,
): Generator<ModuleCohort, void, void> {
  const total = updates.reduce((sum, { aggregationWeight }) => sum + aggregationWeight, 0);
  for (const names of factorPairs(updates[0]?.update ?? new Map())) {
    const before = { a: matrixOf(params.get(names.a)!), b: matrixOf(params.get(names.b)!) };
    const clients = updates.map(({ owner, aggregationWeight, update }) => {
      const a = matrixOf(update.get(names.a)!);
      const b = matrixOf(update.get(names.b)!);
      const share = aggregationWeight / total;
      if (sentAs === 'whole') return { owner, share, a, b };
      return {
        ...{ owner, share },
        a: plus(firstRows(before.a, a.rows), a),
        b: plus(firstColumns(before.b, b.columns), b),
      };
    });
    yield { names, before, clients };
  }
}

/** Names of the modules whose two factors an update has. */
export function factorPairs(sent: Params): ModuleCohort['names'][] {
  return [...sent.keys()].flatMap((a) => {
    const b = a.replace(/\.lora_A(\.[^.]+)$/, '.lora_B$1');
    return loraFactor(a) === 'A' && sent.has(b) ? [{ a, b }] : [];
  });
}

/** Σ p_k Δ_k of everything else: heads, biases. */
function meanOfOthers(updates: readonly WeightedUpdate[], factors: ReadonlySet<string>): Params {
  const total = updates.reduce((sum, { aggregationWeight }) => sum + aggregationWeight, 0);
  const others = [...(updates[0]?.update ?? [])].filter(([name]) => !factors.has(name));
  return new Map(
    others.map(([name, { shape, data }]) => {
      const sum = new Float64Array(data.length);
      for (const { aggregationWeight, update } of updates) {
        const values = update.get(name)!.data;
        for (let i = 0; i < sum.length; i++) sum[i]! += (aggregationWeight / total) * values[i]!;
      }
      return [name, tensor('float32', shape, Float32Array.from(sum))];
    }),
  );
}

/**
 * Σ p_k B_k A_k as one product: b = [p₁B₁ | p₂B₂ | …] and a = [A₁; A₂; …]. The weights belong to one of the factors: in both
 * they would count twice.
 */
export function weightedStack(clients: readonly ClientFactors[]): { readonly b: Matrix; readonly a: Matrix } {
  return {
    b: beside(clients.map(({ share, b }) => times(b, share))),
    a: stacked(clients.map(({ a }) => a)),
  };
}

/** Ā = Σ p_k A_k and B̄ = Σ p_k B_k; all ranks are equal. */
export function meanFactors(clients: readonly ClientFactors[]): { readonly a: Matrix; readonly b: Matrix } {
  const mean = (of: (client: ClientFactors) => Matrix) =>
    clients.reduce<Matrix>(
      (sum, client) => plus(sum, of(client), client.share),
      Matrix.zeros(of(clients[0]!).rows, of(clients[0]!).columns),
    );
  return { a: mean(({ a }) => a), b: mean(({ b }) => b) };
}

/**
 * Σ p_k B_k A_k − B̄ Ā = Σ p_k (B_k − B̄)(A_k − Ā) as one product of stacks: what is lost when factors are averaged. Centred
 * first, so that nothing cancels.
 */
export function covarianceStack(clients: readonly ClientFactors[]): {
  readonly b: Matrix;
  readonly a: Matrix;
} {
  const mean = meanFactors(clients);
  return weightedStack(
    clients.map((client) => ({
      ...client,
      a: plus(client.a, mean.a, -1),
      b: plus(client.b, mean.b, -1),
    })),
  );
}

/**
 * Row j of A and column j of B as Σ_k w_k · (those of client k) over the clients that have them, divided by their weights'
 * sum where `reweighted`. What nobody has stays as it was.
 */
export function rankwiseMean(
  { before, clients }: ModuleCohort,
  weights: readonly number[],
  { reweighted }: { readonly reweighted: boolean },
): { readonly a: Matrix; readonly b: Matrix } {
  const rank = before.a.rows;
  const a = before.a.clone();
  const b = before.b.clone();
  for (let j = 0; j < rank; j++) {
    const having = clients.flatMap((client, k) =>
      client.a.rows > j ? [{ client, weight: weights[k]! }] : [],
    );
    const all = having.reduce((sum, { weight }) => sum + weight, 0);
    if (having.length === 0 || (reweighted && all === 0)) continue;
    const by = reweighted ? 1 / all : 1;
    const mixed = (row: (client: ClientFactors) => number[]) => {
      const rows = having.map(({ client, weight }) => ({ values: row(client), weight: weight * by }));
      return rows[0]!.values.map((_, i) => rows.reduce((sum, r) => sum + r.weight * r.values[i]!, 0));
    };
    a.setRow(
      j,
      mixed((client) => client.a.getRow(j)),
    );
    b.setColumn(
      j,
      mixed((client) => client.b.getColumn(j)),
    );
  }
  return { a, b };
}
