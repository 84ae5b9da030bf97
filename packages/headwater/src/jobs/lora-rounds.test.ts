import { describe, expect, it } from 'vitest';
import { setup, TRAIN, toyExamples } from '../../test/training-setup.ts';
import { type Params, sizeOf } from '../base/tensor.ts';
import { isResidual, withResidual } from '../federation/base-residual.ts';
import { plain } from '../federation/compression/none.ts';
import { bindMethod } from '../federation/method.ts';
import { methods } from '../federation/methods/registry.ts';
import { addScaled, decodeParams, differenceOf, l2Norm, selectParams } from '../federation/params.ts';
import { lora } from '../tuning/lora.ts';
import { trainClientRound } from './client-round.ts';

const RANK = 4;
const { engine, params, model, tuning } = await setup('huggingface/llama', ({ definition }) =>
  lora.bind(lora.options.parse({ rank: RANK, targetModules: ['q_proj', 'k_proj'] }), definition),
);
const corrected = await setup('huggingface/llama', ({ definition }) =>
  withResidual(tuning, definition, 'dense'),
);
const examples = toyExamples([9, 12, 5, 17], model.definition.shape.vocabSize);

interface Asked {
  readonly round?: number;
  readonly kept?: Params | undefined;
  readonly owner?: string;
}

async function roundOf(id: string, options: object, { round = 1, kept, owner = 'ann' }: Asked = {}) {
  const record = methods.get(id)!;
  const method = bindMethod(record, record.options.parse(options));
  const own = id.startsWith('flor') ? corrected : { engine, params, tuning };
  const parts = { engine: own.engine, tensors: own.tuning.tensors, method, compression: plain };
  const input = { seed: 1, round, owner, params: own.params, kept, examples };
  return trainClientRound(parts, { ...input, options: TRAIN });
}

const sentBy = ({ update }: { readonly update: Uint8Array }): Params => decodeParams(update);
const ranks = { owners: { ann: 2, cid: 1 } };
/** r (E + D) values over the modules, 4 bytes each. */
const bytesAt = (rank: number) =>
  4 *
  tuning.tensors.reduce((sum, { name, shape }) => {
    const other = name.includes('lora_A') ? shape[1]! : shape[0]!;
    return sum + rank * other;
  }, 0);
/** Of a safetensors file: name, shape and place of each tensor. */
const HEADER = 160 * tuning.tensors.length;

describe('ranks by owner on the wire', () => {
  it.each(['flexlora', 'hetlora', 'rbla', 'zeropad', 'flora', 'florist'])(
    '%s: an update is r (E + D) float32 for each module, and a header',
    async (id) => {
      for (const [owner, rank] of [
        ['ann', 2],
        ['ben', RANK],
        ['cid', 1],
      ] as const) {
        const { update, downBytes } = await roundOf(id, { ranks }, { owner });
        expect(update.byteLength).toBeGreaterThanOrEqual(bytesAt(rank));
        expect(update.byteLength - bytesAt(rank)).toBeLessThan(HEADER);
        const dense = corrected.tuning.tensors.filter(({ name }) => isResidual(name));
        const residual = 4 * dense.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
        const down = id.startsWith('flor') ? residual : bytesAt(rank);
        expect(downBytes - down).toBeGreaterThanOrEqual(0);
        expect(downBytes - down).toBeLessThan(HEADER);
      }
    },
  );

  it('what an owner does not have stays zero through training with decay', async () => {
    const cut = new Map(
      [...params].map(([name, value]) => {
        const columns = value.shape[1]!;
        const inside = (i: number) => (name.includes('lora_A') ? Math.floor(i / columns) : i % columns) < 2;
        return [name, { ...value, data: value.data.map((x, i) => (inside(i) ? x : 0)) }];
      }),
    );
    const trained = await engine.train(cut, examples, TRAIN);
    for (const [name, { data }] of trained.params)
      for (const [i, x] of data.entries())
        if (cut.get(name)!.data[i] === 0) expect(x, `${name} ${i}`).toBe(0);
    expect(l2Norm(differenceOf(trained.params, cut))).toBeGreaterThan(0.01);
  });
});

describe('FLoRA’s clients', () => {
  it('begin with fresh factors of their own each round, whatever the global ones are', async () => {
    const first = sentBy(await roundOf('flora', { ranks }));
    const again = sentBy(await roundOf('flora', { ranks }));
    const second = sentBy(await roundOf('flora', { ranks }, { round: 2 }));
    const other = sentBy(await roundOf('flora', {}, { owner: 'ben' }));
    const [name] = [...first.keys()].filter((own) => own.includes('lora_A'));
    expect(again).toEqual(first);
    expect(second.get(name!)!.data).not.toEqual(first.get(name!)!.data);
    expect(other.get(name!)!.shape[0]).toBe(RANK);
    // A as it was drawn is within ±1/√D; training moves it by 4 steps of 5e-3.
    const bound = 1 / Math.sqrt(first.get(name!)!.shape[1]!) + 0.03;
    for (const x of first.get(name!)!.data) expect(Math.abs(x)).toBeLessThan(bound);
    const b = selectParams(first, (own) => own.includes('lora_B'));
    expect(l2Norm(b)).toBeGreaterThan(0);
    expect(Math.max(...[...b.values()].flatMap(({ data }) => [...data]))).toBeLessThan(0.05);
  });
});

describe('HetLoRA’s clients', () => {
  /** Strong enough that the tail shrinks. */
  const strong = { lambda: 50, gamma: 0.5 };

  it('prune their rank when the tail shrank, never grow it, and send zeros for what is gone', async () => {
    const pruned: number[] = [];
    let kept: Params | undefined;
    for (let round = 1; round <= 4; round++) {
      const result = await roundOf('hetlora', strong, { round, kept });
      const factors = addScaled(params, sentBy(result), 1);
      const [rank] = [...result.kept!].find(([name]) => name.endsWith('rank'))![1].data;
      pruned.push(rank!);
      for (const [name, { shape, data }] of factors)
        for (const [i, x] of data.entries()) {
          const at = name.includes('lora_A') ? Math.floor(i / shape[1]!) : i % shape[1]!;
          if (at >= rank!) expect(x, `${name} ${i}`).toBe(0);
        }
      kept = result.kept;
    }
    expect([...pruned].sort((a, b) => b - a)).toEqual(pruned);
    expect(pruned[0]).toBe(2);
    expect(pruned.at(-1)).toBe(1);
  });

  it('the penalty pulls: with it the tail is shorter', async () => {
    const tail = async (lambda: number) => {
      const sent = sentBy(await roundOf('hetlora', { lambda, gamma: 0.5, minRank: 4 }));
      return l2Norm(sent);
    };
    // With minRank 4 the tail is empty: λ does nothing at all.
    expect(await tail(50)).toBe(await tail(0));
    const at = async (lambda: number) => {
      const result = await roundOf('hetlora', { lambda, gamma: 0.75 });
      const after = addScaled(params, sentBy(result), 1);
      const columns = selectParams(after, (name) => name.includes('lora_B'));
      return Math.sqrt(
        [...columns.values()].reduce(
          (sum, { shape, data }) =>
            sum + data.reduce((s, x, i) => s + (i % shape[1]! === RANK - 1 ? x * x : 0), 0),
          0,
        ),
      );
    };
    expect(await at(5)).toBeLessThan(await at(0));
  });

  it('λ = 0 and γ = 1 sends what FedAvg sends', async () => {
    const own = sentBy(await roundOf('hetlora', { lambda: 0, gamma: 1 }));
    const expected = sentBy(await roundOf('fedavg', {}));
    expect(own).toEqual(expected);
  });
});
