/** For tests of methods that know products: one module with LoRA factors, cohorts of random factors, dense references. */

import { rng } from '../../src/base/random.ts';
import { type Params, tensor } from '../../src/base/tensor.ts';
import { residualOf } from '../../src/federation/base-residual.ts';
import { Matrix, matrixOf, tensorOf } from '../../src/federation/linear-algebra.ts';
import { bindMethod, type WeightedUpdate } from '../../src/federation/method.ts';
import { methods } from '../../src/federation/methods/registry.ts';
import { addScaled } from '../../src/federation/params.ts';

const STEM = 'base_model.model.layers.0.q_proj';
export const A = `${STEM}.lora_A.weight`;
export const B = `${STEM}.lora_B.weight`;
export const R = `${STEM}.base_residual.weight`;
export const HEAD = 'base_model.model.score.weight';

export interface ToyShape {
  readonly outFeatures: number;
  readonly inFeatures: number;
  readonly rank: number;
}

export function randomMatrix(rows: number, columns: number, ...seed: (string | number)[]): Matrix {
  const stream = rng('toy', ...seed);
  const values = Float32Array.from({ length: rows * columns }, () => stream.normal());
  return Matrix.from1DArray(rows, columns, values);
}

/** Global params: factors, a residual, a head beside them. */
export function toyParams({ outFeatures, inFeatures, rank }: ToyShape, seed = 'start'): Params {
  return new Map([
    [R, tensorOf(rounded(randomMatrix(outFeatures, inFeatures, seed, 'R')))],
    [A, tensorOf(rounded(randomMatrix(rank, inFeatures, seed, 'A')))],
    [B, tensorOf(rounded(randomMatrix(outFeatures, rank, seed, 'B')))],
    [HEAD, tensor('float32', [2], Float32Array.of(1, 2))],
  ]);
}

export interface ToyClient {
  readonly owner: string;
  readonly weight: number;
  readonly a: Matrix;
  readonly b: Matrix;
}

/** Random factors of these ranks; weights 1, 2, 3 … */
export function toyClients(
  { outFeatures, inFeatures }: ToyShape,
  ranks: readonly number[],
  seed = 'clients',
): ToyClient[] {
  return ranks.map((rank, k) => ({
    owner: `o${k}`,
    weight: k + 1,
    a: rounded(randomMatrix(rank, inFeatures, seed, k, 'A')),
    b: rounded(randomMatrix(outFeatures, rank, seed, k, 'B')),
  }));
}

/** Multiples of 2⁻¹², so that differences from params are exact. */
function rounded(matrix: Matrix): Matrix {
  return Matrix.from1DArray(
    matrix.rows,
    matrix.columns,
    matrix.to1DArray().map((value) => Math.round(value * 4096) / 4096),
  );
}

/** What these clients send: `whole` factors, or differences from the leading blocks of the params. */
export function sentBy(clients: readonly ToyClient[], params: Params, whole = false): WeightedUpdate[] {
  const leading = (name: string, { rows, columns }: Matrix) =>
    matrixOf(params.get(name)!).subMatrix(0, rows - 1, 0, columns - 1);
  const sent = (name: string, value: Matrix) =>
    tensorOf(whole ? value : Matrix.sub(value, leading(name, value)));
  return clients.map(({ owner, weight, a, b }, k) => ({
    owner,
    aggregationWeight: weight,
    update: new Map([
      [A, sent(A, a)],
      [B, sent(B, b)],
      [HEAD, tensor('float32', [2], Float32Array.of(k, -k))],
    ]),
  }));
}

/** Params after a round of the method. */
export function afterRound(
  id: string,
  options: object,
  updates: readonly WeightedUpdate[],
  params: Params,
): Params {
  const record = methods.get(id)!;
  const { combine } = bindMethod(record, record.options.parse(options));
  return addScaled(params, combine!(updates, { round: 1, params, state: undefined }), 1);
}

/** Σ p_k B_k A_k, densely. */
export function meanProduct(clients: readonly ToyClient[]): Matrix {
  const total = clients.reduce((sum, { weight }) => sum + weight, 0);
  return clients
    .map(({ a, b, weight }) => b.mmul(a).mul(weight / total))
    .reduce((sum, product) => Matrix.add(sum, product));
}

/** R + B A. */
export function effective(params: Params): Matrix {
  const product = matrixOf(params.get(B)!).mmul(matrixOf(params.get(A)!));
  return residualOf(params, A)?.add(product) ?? product;
}

/** ‖a − b‖_F / ‖b‖_F. */
export function apart(a: Matrix, b: Matrix): number {
  return Matrix.sub(a, b).norm('frobenius') / b.norm('frobenius');
}
