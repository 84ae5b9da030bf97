import { Matrix } from 'ml-matrix';
import { describe, expect, it } from 'vitest';
import { A, afterRound, B, HEAD, sentBy, toyClients, toyParams } from '../../../test/support/toy-factors.ts';
import { rng } from '../../base/random.ts';
import { type Params, sizeOf, tensor } from '../../base/tensor.ts';
import { matrixOf } from '../linear-algebra.ts';
import { cohortOf } from '../lora-cohort.ts';
import { tailPenalty, withoutTail } from '../lora-tail.ts';
import { bindMethod } from '../method.ts';
import { rankOf, shapeAtRank } from '../owner-ranks.ts';
import { encodedBytes } from '../params.ts';
import { normWeights } from './hetlora.ts';
import { methods } from './registry.ts';

const shape = { outFeatures: 5, inFeatures: 7, rank: 4 };
const params = new Map([...toyParams(shape)].filter(([name]) => !name.includes('residual')));
const TENSORS = [...params].map(([name, value]) => ({ name, shape: value.shape }));
/** Three levels: rows 0 of all, 1 of two, 2 and 3 of one. Weights 1, 2, 3. */
const LEVELS = [1, 2, 4];
const clients = toyClients(shape, LEVELS);
const updates = sentBy(clients, params);

const row = (of: Params, j: number) => matrixOf(of.get(A)!).getRow(j);
const column = (of: Params, j: number) => matrixOf(of.get(B)!).getColumn(j);
const mixed = (parts: readonly (readonly [number, number[]])[]) =>
  parts[0]![1].map((_, i) => parts.reduce((sum, [weight, values]) => sum + weight * values[i]!, 0));

function close(found: readonly number[], expected: readonly number[]): void {
  expect(found).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(found[i]!).toBeCloseTo(value, 5);
}

const boundOf = (id: string, options: object) => {
  const record = methods.get(id)!;
  return bindMethod(record, record.options.parse(options));
};

describe('RBLA', () => {
  const after = afterRound('rbla', {}, updates, params);

  it('averages each row over those who have it, at three levels', () => {
    const [one, two, four] = clients;
    close(
      row(after, 0),
      mixed([
        [1 / 6, one!.a.getRow(0)],
        [2 / 6, two!.a.getRow(0)],
        [3 / 6, four!.a.getRow(0)],
      ]),
    );
    close(
      column(after, 1),
      mixed([
        [2 / 5, two!.b.getColumn(1)],
        [3 / 5, four!.b.getColumn(1)],
      ]),
    );
    for (const j of [2, 3]) {
      close(row(after, j), four!.a.getRow(j));
      close(column(after, j), four!.b.getColumn(j));
    }
  });

  it('leaves what nobody in the cohort has', () => {
    const few = afterRound('rbla', {}, updates.slice(0, 2), params);
    for (const j of [2, 3]) {
      expect(row(few, j)).toEqual(row(params, j));
      expect(column(few, j)).toEqual(column(params, j));
    }
  });
});

describe('zero-padding', () => {
  it('dilutes rows of few, keeps those of nobody', () => {
    const after = afterRound('zeropad', {}, updates, params);
    const [, two, four] = clients;
    close(
      row(after, 1),
      mixed([
        [2 / 6, two!.a.getRow(1)],
        [3 / 6, four!.a.getRow(1)],
      ]),
    );
    close(column(after, 3), mixed([[3 / 6, four!.b.getColumn(3)]]));
    const few = afterRound('zeropad', {}, updates.slice(0, 2), params);
    expect(row(few, 3)).toEqual(row(params, 3));
  });

  it('with the ranks that owners have it is FedIT of both clients, not of the first', () => {
    const [one, two] = toyClients(shape, [4, 4]);
    const after = afterRound('zeropad', {}, sentBy([one!, two!], params), params);
    close(
      row(after, 2),
      mixed([
        [1 / 3, one!.a.getRow(2)],
        [2 / 3, two!.a.getRow(2)],
      ]),
    );
  });

  it('does not change a client’s own product', () => {
    const [one] = clients;
    const padA = Matrix.zeros(4, 7).setSubMatrix(one!.a, 0, 0);
    const padB = Matrix.zeros(5, 4).setSubMatrix(one!.b, 0, 0);
    expect(Matrix.sub(padB.mmul(padA), one!.b.mmul(one!.a)).norm('frobenius')).toBe(0);
  });
});

describe('HetLoRA', () => {
  it('weights by the norm of the product, whatever the examples; weights add up to 1', () => {
    const weights = normWeights(cohortOf(updates, params, 'difference'));
    expect(weights.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
    const norms = clients.map(({ a, b }) => b.mmul(a).norm('frobenius'));
    const total = norms.reduce((a, b) => a + b);
    close(
      weights,
      norms.map((norm) => norm / total),
    );
    const after = afterRound('hetlora', {}, updates, params);
    close(row(after, 3), mixed([[weights[2]!, clients[2]!.a.getRow(3)]]));
  });

  it('without products all count alike', () => {
    const nothing = clients.map((own) => ({ ...own, b: Matrix.mul(own.b, 0) }));
    expect(normWeights(cohortOf(sentBy(nothing, params), params, 'difference'))).toEqual([
      1 / 3,
      1 / 3,
      1 / 3,
    ]);
  });

  it('equal ranks and norms: FedIT with uniform weights', () => {
    const [own] = toyClients(shape, [4]);
    const negative = { ...own!, owner: 'o1', weight: 9, b: Matrix.mul(own!.b, -1) };
    const after = afterRound('hetlora', {}, sentBy([own!, negative], params), params);
    close(column(after, 0), new Array<number>(5).fill(0));
    close(row(after, 0), own!.a.getRow(0));
  });

  it('the gradient of the penalty is that of central differences, and not zero', () => {
    const tail = { begin: 2, end: 4 };
    const lambda = 0.3;
    const { gradient } = tailPenalty(params, tail, lambda);
    const value = (name: string, i: number, step: number) => {
      const moved = params.get(name)!.data.slice();
      moved[i]! += step;
      const changed = new Map([...params, [name, { ...params.get(name)!, data: moved }]]);
      return tailPenalty(changed, tail, lambda).value;
    };
    let largest = 0;
    for (const name of [A, B])
      for (let i = 0; i < sizeOf(params.get(name)!.shape); i++) {
        const step = 2 ** -8;
        const expected = (value(name, i, step) - value(name, i, -step)) / (2 * step);
        const found = gradient.get(name)!.data[i]!;
        expect(found).toBeCloseTo(expected, 4);
        largest = Math.max(largest, Math.abs(found));
      }
    expect(largest).toBeGreaterThan(0.1);
    // Rows before the tail, and columns, are not penalised.
    expect([...gradient.get(A)!.data.slice(0, 14)].every((x) => x === 0)).toBe(true);
    expect(gradient.get(B)!.data[0]).toBe(0);
    expect(gradient.get(B)!.data[2]).not.toBe(0);
  });

  it('is flat where a factor is zero', () => {
    const start = new Map([...params, [B, tensor('float32', [5, 4], new Float32Array(20))]]);
    const { value, gradient } = tailPenalty(start, { begin: 3, end: 4 });
    expect(value).toBe(0);
    for (const { data } of gradient.values()) for (const x of data) expect(x).toBeCloseTo(0, 12);
  });

  it('a head without its tail has zeros from there on', () => {
    const head = withoutTail(params, 1);
    expect(row(head, 0)).toEqual(row(params, 0));
    for (const j of [1, 2, 3]) {
      expect(row(head, j).every((x) => x === 0)).toBe(true);
      expect(column(head, j).every((x) => x === 0)).toBe(true);
    }
    expect(head.get(HEAD)).toBe(params.get(HEAD));
  });
});

describe('ranks by owner', () => {
  const ranks = { default: 3, owners: { ann: 1 } };

  it.each(['flora', 'florist', 'flexlora', 'hetlora', 'rbla', 'zeropad'])(
    '%s sends r (E + D) values of a module and nothing else of it',
    (id) => {
      const method = boundOf(id, { ranks });
      for (const [owner, rank] of [
        ['ann', 1],
        ['ben', 3],
      ] as const) {
        const wire = method.wire(TENSORS, 1, owner);
        expect(wire.reduce((sum, own) => sum + sizeOf(own.shape), 0)).toBe(rank * (5 + 7) + 2);
        const context = { round: 1, owner, random: rng(1) };
        const sent = method.encodeUp(params, context);
        expect([...sent].map(([name, value]) => ({ name, shape: value.shape }))).toEqual(wire);
        close(row(sent, rank - 1), row(params, rank - 1));
        close(column(sent, rank - 1), column(params, rank - 1));
        const received = method.encodeDown(params, context);
        const values = [...received.values()].reduce((sum, own) => sum + own.data.length, 0);
        expect(values).toBe(id.startsWith('flor') ? 2 : rank * (5 + 7) + 2);
        expect(encodedBytes(received)).toBeLessThan(4 * values + 512);
      }
    },
  );

  it('a smaller adapter is the beginning of a larger one', () => {
    const context = { round: 1, owner: 'ann', random: rng(1) };
    const [small, large] = [2, 3].map((rank) =>
      boundOf('flexlora', { ranks: { default: rank } }).encodeDown(params, context),
    );
    for (const j of [0, 1]) {
      expect(row(small!, j)).toEqual(row(large!, j));
      expect(column(small!, j)).toEqual(column(large!, j));
    }
  });

  it('levels are drawn by name, in their shares, and names have the last word', () => {
    const options = { ranks: { levels: [2, 8], shares: [3, 1], owners: { 'owner-7': 5 } } };
    const drawn = Array.from({ length: 2000 }, (_, i) => rankOf(`owner-${i}`, options));
    expect(drawn[7]).toBe(5);
    expect(drawn.filter((rank) => rank === 2).length / 2000).toBeCloseTo(0.75, 1);
    expect(drawn.filter((rank) => rank === 8).length / 2000).toBeCloseTo(0.25, 1);
    expect(rankOf('owner-1', options)).toBe(drawn[1]);
    expect(rankOf('owner-1', {})).toBe(Number.POSITIVE_INFINITY);
    expect(rankOf('constructor', { ranks: { default: 4, owners: { ann: 1 } } })).toBe(4);
  });

  it('factors are told by name: a square one is cut on its own side', () => {
    expect(shapeAtRank({ name: A, shape: [4, 4] }, 2)).toEqual([2, 4]);
    expect(shapeAtRank({ name: B, shape: [4, 4] }, 2)).toEqual([4, 2]);
    expect(shapeAtRank({ name: HEAD, shape: [4, 4] }, 2)).toEqual([4, 4]);
  });

  it('a rank above the tuning’s is refused, and so are options that contradict each other', () => {
    const facts = { numOwners: 3, cohortSize: 3, quorum: 3, rounds: 2, tensors: TENSORS };
    const complain = boundOf('rbla', { ranks: { default: 2, owners: { ann: 16 } } }).preconditions(facts);
    expect(complain).toEqual([expect.stringContaining('rank 16, but tuning.rank is 4')]);
    expect(boundOf('rbla', { ranks }).preconditions(facts)).toEqual([]);
    const named = { ...facts, ownerNames: ['anne', 'ben'] };
    expect(boundOf('rbla', { ranks }).preconditions(named)).toEqual([
      expect.stringContaining('names "ann"; did you mean "anne"?'),
    ]);
    const { options } = methods.get('rbla')!;
    expect(options.safeParse({ ranks: { default: 2, levels: [1] } }).success).toBe(false);
    expect(options.safeParse({ ranks: { levels: [1, 2], shares: [1] } }).success).toBe(false);
    expect(options.safeParse({ ranks: { shares: [1] } }).success).toBe(false);
  });
});

describe('what these methods ask of a run', () => {
  const facts = { numOwners: 3, cohortSize: 3, quorum: 3, rounds: 2, tensors: TENSORS };
  const residual = { name: A.replace('lora_A', 'base_residual'), shape: [5, 7] };
  const withOwn = { ...facts, tensors: [...TENSORS, residual] };

  it.each(['flora', 'florist', 'fedex-lora'])('%s: plain LoRA, of which the base can hold products', (id) => {
    expect(boundOf(id, {}).preconditions(facts)).toEqual([expect.stringContaining('only tuning.kind lora')]);
    expect(boundOf(id, {}).preconditions(withOwn)).toEqual([]);
    const other = { ...facts, tensors: [{ name: HEAD, shape: [2] }] };
    expect(boundOf(id, {}).preconditions(other)).toEqual([expect.stringContaining('tuning.kind lora')]);
  });

  it.each(['flora', 'florist', 'fedex-lora', 'flexlora', 'hetlora', 'lora-fair', 'rbla', 'zeropad'])(
    '%s: synchronous rounds',
    (id) => {
      const complaints = boundOf(id, {}).preconditions({ ...withOwn, mode: 'buffered' });
      expect(complaints).toEqual([expect.stringContaining('synchronous')]);
    },
  );

  it.each(['flexlora', 'fedex-lora', 'lora-fair'])('%s: whole server steps', (id) => {
    const complaints = boundOf(id, {}).preconditions({ ...withOwn, serverLearningRate: 0.5 });
    expect(complaints).toEqual([expect.stringContaining('serverLearningRate is 0.5')]);
  });

  it.each(['flora', 'florist'])('%s: no error feedback', (id) => {
    expect(boundOf(id, {}).preconditions({ ...withOwn, compression: 'top-k' })).toHaveLength(1);
    expect(boundOf(id, {}).preconditions({ ...withOwn, compression: 'int8' })).toEqual([]);
  });
});
