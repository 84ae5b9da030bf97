/** In float64, on random weights: a network without some blocks is the shallower network of the others. */

import { describe, expect, it } from 'vitest';
import { randomConfig } from '../../test/support/random-configs.ts';
import { interpretingExecutor, randomModel, type SmallModel } from '../../test/support/random-models.ts';
import { smallBatches } from '../../test/support/small-batches.ts';
import { rng } from '../base/random.ts';
import { type Params, sizeOf, tensor } from '../base/tensor.ts';
import { definitionOf } from '../models/registry.ts';
import type { BoundTuning } from '../tuning/kind.ts';
import { tuningKinds } from '../tuning/registry.ts';
import { accumulatedGradients, targetBatches } from './accumulate.ts';
import type { Pass } from './pass.ts';
import { createRunner, type RunnerParts } from './runner.ts';

const DEPTH = { llama: 'num_hidden_layers', gpt2: 'n_layer', bert: 'num_hidden_layers' } as const;

function deepModel(id: keyof typeof DEPTH): { readonly model: SmallModel; readonly seed: number } {
  for (let seed = 1; ; seed++) {
    const model = randomModel(id, seed);
    if (model.definition.shape.numHiddenLayers === 3) return { model, seed };
  }
}

/** The blocks `kept`, in their order, as a network of their own. */
function shallow(id: keyof typeof DEPTH, { model, seed }: ReturnType<typeof deepModel>, kept: number[]) {
  const config = { ...randomConfig(id, seed), [DEPTH[id]]: kept.length };
  const definition = definitionOf(config, JSON.stringify(config));
  const source = (name: string) => renumbered(name, (block) => kept[block]!);
  const weights: RunnerParts['model']['weights'] = {
    locate: (name) => ({ kind: 'memory', tensor: model.tensors.get(source(name))! }),
  };
  const types = [...definition.parameters].map(
    ([name, shape]) => [name, { dtype: 'float32' as const, shape }] as const,
  );
  return { definition, weights, storedTypes: new Map(types), source };
}

function renumbered(name: string, of: (block: number) => number): string {
  return name.replace(/(\.|^)(layers?|h)\.(\d+)\./, (_, before, list, block) => {
    return `${before}${list}.${of(Number(block))}.`;
  });
}

function bound(kind: string, options: object, { definition }: Pick<SmallModel, 'definition'>): BoundTuning {
  const record = tuningKinds.get(kind)!;
  return record.bind(record.options.parse(options), definition);
}

function valuesOf({ tensors }: BoundTuning): Params {
  return new Map(
    tensors.map(({ name, shape }) => {
      const random = rng('part', name);
      return [
        name,
        tensor(
          'float32',
          shape,
          Float32Array.from({ length: sizeOf(shape) }, () => 0.3 * random.normal()),
        ),
      ];
    }),
  );
}

function lossOf(model: RunnerParts['model'], tuning: BoundTuning, batchesOf: Pick<SmallModel, 'definition'>) {
  const runner = createRunner({ model, tuning, executor: interpretingExecutor() });
  const batches = smallBatches(batchesOf, 'part');
  return (params: Params, pass?: Pass) =>
    accumulatedGradients(runner, params, targetBatches(batches), undefined, pass);
}

const SKIPS = [
  [{ skipped: new Set([1]) }, [0, 2]],
  [{ skipped: new Set<number>(), skippedFrom: 2 }, [0, 1]],
  [{ skipped: new Set([0]), skippedFrom: 2 }, [1]],
] as const;

describe.each(Object.keys(DEPTH) as (keyof typeof DEPTH)[])('%s without some blocks', (id) => {
  it.each(SKIPS)('%o is the network of blocks %o: loss and gradients', async (part, kept) => {
    const deep = deepModel(id);
    const tuning = bound('lora', { rank: 2, alpha: 3 }, deep.model);
    const params = valuesOf(tuning);
    const frozen = new Set(
      tuning.tensors.flatMap(({ name }) => {
        const block = /\.(?:layers?|h)\.(\d+)\./.exec(name)?.[1];
        return block === undefined || (kept as readonly number[]).includes(Number(block)) ? [] : [name];
      }),
    );
    const actual = await lossOf(deep.model, tuning, deep.model)(params, { part, frozen });
    const small = shallow(id, deep, [...kept]);
    const few = bound('lora', { rank: 2, alpha: 3 }, small);
    const same = new Map(few.tensors.map(({ name }) => [name, params.get(small.source(name))!]));
    const expected = await lossOf(small, few, deep.model)(same);
    expect(actual.loss).toBeCloseTo(expected.loss, 10);
    expect(actual.grads.size).toBe(expected.grads.size);
    for (const [name, { data }] of expected.grads)
      for (const [i, value] of data.entries())
        expect(actual.grads.get(small.source(name))!.data[i]).toBeCloseTo(value, 9);
  });
});

describe('adapters beside skipped blocks', () => {
  const deep = deepModel('llama').model;
  const tuning = bound('adapter', { reductionFactor: 2, nonLinearity: 'tanh' }, deep);
  const params = valuesOf(tuning);
  const branch = { skipped: new Set<number>(), skippedFrom: 1, bypass: true } as const;

  it('act on the hidden states in the order of the blocks', async () => {
    const loss = lossOf(deep, tuning, deep);
    const zero = (layer: number, of: Params): Params =>
      new Map(
        [...of].map(([name, value]) =>
          name.includes(`layers.${layer}.`) && name.includes('adapter_up')
            ? [name, { ...value, data: value.data.map(() => 0) }]
            : [name, value],
        ),
      );
    const skipped = await loss(params, { part: { skipped: new Set(), skippedFrom: 1 } });
    const idle = await loss(zero(1, zero(2, params)), { part: branch });
    expect(idle.loss).toBe(skipped.loss);
    const [whole, first, second] = [params, zero(2, params), zero(1, params)].map((of) =>
      loss(of, { part: branch }),
    );
    const losses = [(await whole!).loss, (await first!).loss, (await second!).loss, idle.loss];
    expect(new Set(losses).size).toBe(4);
  });

  it('the gradient below them is that of the branch: central differences', async () => {
    const loss = lossOf(deep, tuning, deep);
    const name = tuning.tensors.find(
      (own) => own.name.includes('layers.0.') && own.name.includes('adapter_up.weight'),
    )!.name;
    const { grads } = await loss(params, { part: branch });
    const moved = (step: number): Params => {
      const data = Float64Array.from(params.get(name)!.data);
      data[0]! += step;
      return new Map([...params, [name, { ...params.get(name)!, data: data as unknown as Float32Array }]]);
    };
    const [up, down] = [
      await loss(moved(1e-4), { part: branch }),
      await loss(moved(-1e-4), { part: branch }),
    ];
    expect(grads.get(name)!.data[0]).toBeCloseTo((up.loss - down.loss) / 2e-4, 6);
    expect(Math.abs(grads.get(name)!.data[0]!)).toBeGreaterThan(1e-5);
  });
});
