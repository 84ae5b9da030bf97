import { inverse, Matrix } from 'ml-matrix';
import { describe, expect, it } from 'vitest';
import {
  A,
  afterRound,
  apart,
  B,
  effective,
  HEAD,
  meanProduct,
  R,
  randomMatrix,
  sentBy,
  type ToyClient,
  toyClients,
  toyParams,
} from '../../../test/support/toy-factors.ts';
import { type Params, tensor } from '../../base/tensor.ts';
import { firstColumns, firstRows, matrixOf, svd, tensorOf } from '../linear-algebra.ts';
import { cohortOf, covarianceStack, weightedStack } from '../lora-cohort.ts';
import { averagingError } from '../lora-error.ts';
import { bindMethod, type WeightedUpdate } from '../method.ts';
import { selectParams } from '../params.ts';
import { methods } from './registry.ts';

/** E ≠ D, and the two traps of factors told apart by shape: E = R, D = R. */
const SHAPES = [
  { outFeatures: 9, inFeatures: 6, rank: 4 },
  { outFeatures: 4, inFeatures: 7, rank: 4 },
  { outFeatures: 7, inFeatures: 4, rank: 4 },
];
const MIXED = [4, 1, 2, 3];
/** Of params in float32. */
const FLOAT32 = 2e-7;

const withoutResidual = (params: Params) => selectParams(params, (name) => name !== R);
const residualOnly = (params: Params) => matrixOf(params.get(R)!);

describe.each(SHAPES)('W [$outFeatures, $inFeatures], rank $rank', (shape) => {
  const params = toyParams(shape);
  const clients = toyClients(shape, [4, 4, 4]);
  const mixed = toyClients(shape, MIXED);

  it('the stack is the mean of the products, in float64; with the weights in both factors it is not', () => {
    const [module] = cohortOf(sentBy(mixed, params, true), params, 'whole');
    const { b, a } = weightedStack(module!.clients);
    expect(apart(b.mmul(a), meanProduct(mixed))).toBeLessThan(1e-12);
    const twice = module!.clients.map((own) => ({ ...own, a: Matrix.mul(own.a, own.share) }));
    const wrong = weightedStack(twice);
    expect(apart(wrong.b.mmul(wrong.a), meanProduct(mixed))).toBeGreaterThan(0.1);
  });

  it('FLoRA: the residual grows by exactly that, factors stay, the head is averaged', () => {
    const after = afterRound('flora', {}, sentBy(mixed, params, true), params);
    const expected = Matrix.add(residualOnly(params), meanProduct(mixed));
    expect(apart(residualOnly(after), expected)).toBeLessThan(FLOAT32);
    for (const name of [A, B]) expect(after.get(name)).toEqual(params.get(name));
    // Weights 1, 2, 3, 4 and moves 0, 1, 2, 3.
    expect(after.get(HEAD)!.data[0]).toBeCloseTo(1 + (2 + 6 + 12) / 10, 6);
  });

  it('FLoRIST: τ = 1 is FLoRA; below, the error² is at most 1 − τ and the least number of directions is kept', () => {
    const updates = sentBy(mixed, params, true);
    const growth = (energy: number) =>
      Matrix.sub(residualOnly(afterRound('florist', { energy }, updates, params)), residualOnly(params));
    expect(apart(growth(1), meanProduct(mixed))).toBeLessThan(5e-7);
    const { s } = svd(meanProduct(mixed));
    const total = s.reduce((sum, value) => sum + value ** 2, 0);
    for (const energy of [0.5, 0.8, 0.95]) {
      const found = growth(energy);
      expect(apart(found, meanProduct(mixed)) ** 2).toBeLessThan(1 - energy + 1e-6);
      const kept = svd(found).s.filter((value) => value > 1e-5 * s[0]!).length;
      const fewer = s.slice(0, kept - 1).reduce((sum, value) => sum + value ** 2, 0);
      expect(fewer / total).toBeLessThan(energy);
    }
  });

  it('FlexLoRA: the error² is Σ_{j>r} σ_j² at every rank, and rows of A are orthonormal', () => {
    const plain = withoutResidual(params);
    const after = afterRound('flexlora', {}, sentBy(mixed, plain), plain);
    const { s } = svd(meanProduct(mixed));
    const [a, b] = [matrixOf(after.get(A)!), matrixOf(after.get(B)!)];
    for (const rank of [1, 2, 4]) {
      const cut = firstColumns(b, rank).mmul(firstRows(a, rank));
      const tail = Math.hypot(...s.slice(rank));
      expect(Matrix.sub(cut, meanProduct(mixed)).norm('frobenius')).toBeCloseTo(tail, 4);
    }
    expect(apart(a.mmul(a.transpose()), Matrix.eye(4))).toBeLessThan(1e-6);
  });

  it('FlexLoRA is exact where the rank is enough, and the rows that are left can still learn', () => {
    const plain = withoutResidual(params);
    const small = toyClients(shape, [1, 1]);
    const after = afterRound('flexlora', {}, sentBy(small, plain), plain);
    expect(apart(effective(after), meanProduct(small))).toBeLessThan(1e-6);
    const a = matrixOf(after.get(A)!);
    expect(apart(a.mmul(a.transpose()), Matrix.eye(4))).toBeLessThan(1e-6);
    const b = matrixOf(after.get(B)!);
    expect(b.subMatrix(0, b.rows - 1, 2, 3).norm('frobenius')).toBe(0);
  });

  it('FedEx: base, residual and mean factors are base and mean product; the residual is the covariance', () => {
    const after = afterRound('fedex-lora', {}, sentBy(clients, params), params);
    const expected = Matrix.add(residualOnly(params), meanProduct(clients));
    expect(apart(effective(after), expected)).toBeLessThan(3e-7);
    const [module] = cohortOf(sentBy(clients, params), params, 'difference');
    const { b, a } = covarianceStack(module!.clients);
    const mean = (of: (client: ToyClient) => Matrix) =>
      clients.map((own) => Matrix.mul(of(own), own.weight / 6)).reduce((sum, x) => Matrix.add(sum, x));
    const [meanA, meanB] = [mean((own) => own.a), mean((own) => own.b)];
    expect(apart(b.mmul(a), Matrix.sub(meanProduct(clients), meanB.mmul(meanA)))).toBeLessThan(1e-12);
    expect(apart(matrixOf(after.get(A)!), meanA)).toBeLessThan(FLOAT32);
    expect(apart(matrixOf(after.get(B)!), meanB)).toBeLessThan(FLOAT32);
  });

  it('LoRA-FAIR: ΔB is stationary, never worse than FedIT, and FedIT for λ → ∞', () => {
    const plain = withoutResidual(params);
    const updates = sentBy(clients, plain);
    const errorOf = (lambda: number) => {
      const after = afterRound('lora-fair', { lambda }, updates, plain);
      return Matrix.sub(effective(after), meanProduct(clients)).norm('frobenius');
    };
    const fedit = averagingError(updates, plain, 'difference').norm;
    expect(errorOf(0)).toBeLessThanOrEqual(fedit * (1 + 1e-6));
    expect(errorOf(0.01)).toBeLessThanOrEqual(fedit * (1 + 1e-6));
    expect(errorOf(0)).toBeLessThanOrEqual(errorOf(0.01) * (1 + 1e-6));
    expect(errorOf(1e9)).toBeCloseTo(fedit, 4);
    // ∂/∂ΔB of ‖ΔW − (B̄ + ΔB) Ā‖² + λ ‖ΔB‖² is 0.
    const lambda = 0.5;
    const after = afterRound('lora-fair', { lambda }, updates, plain);
    const a = matrixOf(after.get(A)!);
    const [module] = cohortOf(updates, plain, 'difference');
    const { b: lostB, a: lostA } = covarianceStack(module!.clients);
    const meanB = Matrix.sub(meanProduct(clients), lostB.mmul(lostA)).mmul(pseudoInverse(a));
    const correction = Matrix.sub(matrixOf(after.get(B)!), meanB);
    const left = Matrix.sub(lostB.mmul(lostA), correction.mmul(a)).mmul(a.transpose());
    expect(apart(left, Matrix.mul(correction, lambda))).toBeLessThan(1e-4);
  });

  it('identical clients: the result is that client, whatever the method', () => {
    const [one] = clients;
    const same = [one!, { ...one!, owner: 'o1', weight: 5 }];
    for (const id of ['flexlora', 'lora-fair', 'fedex-lora']) {
      const start = id === 'fedex-lora' ? params : withoutResidual(params);
      const old =
        id === 'fedex-lora' ? residualOnly(params) : Matrix.zeros(shape.outFeatures, shape.inFeatures);
      const after = afterRound(id, {}, sentBy(same, start), start);
      expect(apart(effective(after), Matrix.add(old, one!.b.mmul(one!.a))), id).toBeLessThan(1e-6);
    }
    expect(averagingError(sentBy(same, params), params, 'difference').norm).toBeLessThan(1e-12);
  });
});

describe('rules over products', () => {
  const shape = SHAPES[0]!;
  const params = toyParams(shape);
  const plain = withoutResidual(params);
  const clients = toyClients(shape, [4, 4, 4]);
  const cases = [
    ['flora', params, true],
    ['florist', params, true],
    ['flexlora', plain, false],
    ['fedex-lora', params, false],
  ] as const;

  it.each(cases)('%s does not see the gauge: (B G, G⁻¹ A) is (B, A)', (id, start, whole) => {
    const turned = clients.map((own, k) => {
      const g = Matrix.add(randomMatrix(4, 4, 'gauge', k), Matrix.mul(Matrix.eye(4), 3));
      return { ...own, b: own.b.mmul(g), a: inverse(g).mmul(own.a) };
    });
    const after = (of: readonly ToyClient[]) =>
      effective(afterRound(id, {}, sentBy(of, start, whole), start));
    expect(apart(after(turned), after(clients))).toBeLessThan(3e-6);
  });

  it('FedIT does', () => {
    const turned = clients.map((own, k) => ({
      ...own,
      b: Matrix.mul(own.b, 2 ** k),
      a: Matrix.mul(own.a, 2 ** -k),
    }));
    const after = (of: readonly ToyClient[]) =>
      effective(afterRound('zeropad', {}, sentBy(of, plain), plain));
    expect(apart(after(turned), after(clients))).toBeGreaterThan(0.1);
  });

  it.each(cases)('%s does not see the order of the clients', (id, start, whole) => {
    const after = (of: readonly ToyClient[]) =>
      effective(afterRound(id, {}, sentBy(of, start, whole), start));
    expect(apart(after([...clients].reverse()), after(clients))).toBeLessThan(1e-6);
  });

  it('the averaging error is that of FedIT’s dense products, and adds up over modules', () => {
    const updates = sentBy(clients, plain);
    const after = afterRound('zeropad', {}, updates, plain);
    const { norm, relative } = averagingError(updates, plain, 'difference');
    const dense = Matrix.sub(effective(after), meanProduct(clients)).norm('frobenius');
    expect(norm).toBeCloseTo(dense, 4);
    expect(relative).toBeCloseTo(dense / meanProduct(clients).norm('frobenius'), 5);
    const twice = (own: Params) =>
      new Map([
        ...own,
        ...[...own].map(([name, value]) => [name.replace('model.', 'model.twin.'), value] as const),
      ]);
    const inBoth = updates.map((client) => ({ ...client, update: twice(client.update) }));
    expect(averagingError(inBoth, twice(plain), 'difference').norm).toBeCloseTo(Math.SQRT2 * norm, 10);
  });

  it('figures of a round: what averaging loses, beside what the method loses', () => {
    const figuresOf = (id: string, start: Params, whole: boolean, options = {}) => {
      const record = methods.get(id)!;
      const updates = sentBy(clients, start, whole);
      const after = afterRound(id, options, updates, start);
      return bindMethod(record, record.options.parse(options)).figures!(updates, { before: start, after });
    };
    const lost = averagingError(sentBy(clients, plain), plain, 'difference').relative;
    expect(lost).toBeGreaterThan(0.1);
    const { s } = svd(meanProduct(clients));
    const tail = Math.hypot(...s.slice(4)) / Math.hypot(...s);
    const noProduct = new Map([...params, [B, tensorOf(Matrix.zeros(9, 4))]]);
    for (const [id, start, whole, own] of [
      ['zeropad', plain, false, lost],
      ['fedex-lora', params, false, 0],
      ['flexlora', plain, false, tail],
      ['flora', noProduct, true, 0],
    ] as const) {
      const figures = figuresOf(id, start, whole);
      expect(figures.averagingError, id).toBeCloseTo(lost, 6);
      expect(figures.aggregationError, id).toBeCloseTo(own, 6);
    }
    const { aggregationError, keptRank } = figuresOf('florist', noProduct, true, { energy: 0.9 });
    const energy = s.map((_, i) => Math.hypot(...s.slice(0, i + 1)) ** 2 / Math.hypot(...s) ** 2);
    expect(keptRank).toBe(energy.findIndex((share) => share >= 0.9) + 1);
    expect(aggregationError! ** 2).toBeLessThan(0.1);
    expect(aggregationError).toBeGreaterThan(0.01);
  });

  it('a residual of a fixed rank is exact while it has room, then the best of its rank', () => {
    const factored = (rank: number) =>
      new Map([
        ...plain,
        [R.replace('.weight', '_A.weight'), tensor('float32', [rank, 6], new Float32Array(rank * 6))],
        [R.replace('.weight', '_B.weight'), tensor('float32', [9, rank], new Float32Array(9 * rank))],
      ]);
    const two = clients.slice(0, 2);
    const rank1 = two.map((own) => ({ ...own, a: firstRows(own.a, 1), b: firstColumns(own.b, 1) }));
    const grown = (rank: number, rounds: number) => {
      let current = factored(rank);
      for (let round = 0; round < rounds; round++)
        current = new Map(afterRound('flora', {}, sentBy(rank1, current, true), current));
      return Matrix.sub(effective(current), effective(plain));
    };
    const once = meanProduct(rank1);
    expect(apart(grown(2, 1), once)).toBeLessThan(1e-6);
    expect(apart(grown(2, 3), Matrix.mul(once, 3))).toBeLessThan(1e-6);
    const { s } = svd(once);
    expect(Matrix.sub(grown(1, 1), once).norm('frobenius')).toBeCloseTo(s[1]!, 4);
  });

  it('K = 1 is local training: base and residual are base and that client’s product', () => {
    const [one] = clients;
    for (const [id, start, whole] of cases) {
      const old = start === plain ? Matrix.zeros(9, 6) : residualOnly(params);
      const after = afterRound(
        id,
        id === 'florist' ? { energy: 1 } : {},
        sentBy([one!], start, whole),
        start,
      );
      const own = whole ? Matrix.sub(effective(after), productOf(start)) : effective(after);
      expect(apart(own, Matrix.add(old, one!.b.mmul(one!.a))), id).toBeLessThan(1e-6);
    }
  });

  it('factors that came to nothing do no harm', () => {
    const zeroed = sentBy(clients, plain).map((sent): WeightedUpdate => {
      const minus = Matrix.mul(matrixOf(plain.get(B)!), -1);
      return { ...sent, update: new Map([...sent.update, [B, tensorOf(minus)]]) };
    });
    for (const id of ['flexlora', 'lora-fair']) {
      const after = afterRound(id, {}, zeroed, plain);
      expect(effective(after).norm('frobenius'), id).toBeLessThan(1e-6);
      expect(matrixOf(after.get(A)!).norm('frobenius'), id).toBeGreaterThan(0.5);
    }
  });
});

function productOf(params: Params): Matrix {
  return matrixOf(params.get(B)!).mmul(matrixOf(params.get(A)!));
}

/** A⁺ of a matrix with independent rows. */
function pseudoInverse(a: Matrix): Matrix {
  return a.transpose().mmul(inverse(a.mmul(a.transpose())));
}
