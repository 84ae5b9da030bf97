/** What holds for every kind that changes modules or weights, on a toy network in float64. */

import { describe, expect, it } from 'vitest';
import { gap, runToy, startingParams, toy, toyWeights } from '../../test/support/toy-network.ts';
import { type Params, tensor } from '../base/tensor.ts';
import { adapterParams, combinedTuning, prefixedParams } from './combined.ts';
import { frozen } from './frozen.ts';
import type { BoundTuning } from './kind.ts';
import { adapterConfigText, parseAdapter } from './peft-adapter.ts';
import { tuningKinds } from './registry.ts';

function bound(kind: string, options: object): BoundTuning {
  const record = tuningKinds.get(kind)!;
  return record.bind(record.options.parse(options), toy);
}

const SAVED = { modulesToSave: ['model.norm'] };
const CASES: readonly [string, BoundTuning][] = [
  ['lora', bound('lora', { rank: 2, alpha: 3 })],
  ['lora with biases', bound('lora', { rank: 2, bias: 'all', targetModules: ['q_proj', 'down_proj'] })],
  ['lora with a saved module', bound('lora', { rank: 2, targetModules: ['v_proj'], ...SAVED })],
  ['dora', bound('dora', { rank: 2, alpha: 3 })],
  [
    'dora with biases of its targets',
    bound('dora', { rank: 2, targetModules: ['o_proj'], bias: 'lora_only' }),
  ],
  ['ia3', bound('ia3', {})],
  [
    'ia3 with chosen modules',
    bound('ia3', { targetModules: ['q_proj', 'up_proj'], feedforwardModules: ['up_proj'] }),
  ],
  ['ia3 with a saved module', bound('ia3', { targetModules: ['mlp.down_proj'], ...SAVED })],
  ['houlsby', bound('adapter', { style: 'houlsby', reductionFactor: 2, nonLinearity: 'gelu', ...SAVED })],
  ['pfeiffer', bound('adapter', { reductionFactor: 2, nonLinearity: 'tanh' })],
  ['bitfit', bound('bitfit', {})],
  ['layers', bound('layers', { layers: 'last:1', finalNorm: true, head: true, embeddings: true })],
];

const base = runToy(frozen, new Map()).logits;

describe.each(CASES)('%s', (name, tuning) => {
  it('computes the base at the start and something else when trained', async () => {
    expect(gap(runToy(tuning, await startingParams(tuning)).logits, base)).toBeLessThan(1e-5);
    expect(gap(runToy(tuning, await startingParams(tuning, 0.2)).logits, base)).toBeGreaterThan(1e-2);
  });

  it('has the tensors that it says, from seeded values in order of their names', async () => {
    const params = await startingParams(tuning);
    expect([...params.keys()]).toEqual(tuning.tensors.map((item) => item.name));
    expect([...params.keys()]).toEqual([...params.keys()].sort());
    for (const { name: tensorName, shape } of tuning.tensors)
      expect(params.get(tensorName)!.shape).toEqual(shape);
  });

  it.runIf(!name.startsWith('dora'))('has the gradients of central differences', async () => {
    const params = await startingParams(tuning, 0.2);
    const { grads } = runToy(tuning, params);
    for (const { name: tensorName } of tuning.tensors) {
      const { data, shape } = params.get(tensorName)!;
      const element = data.length >> 1;
      const at = (step: number) => {
        const moved = Float64Array.from(data);
        moved[element]! += step;
        const values = { dtype: 'float32', shape, data: moved as unknown as Float32Array } as const;
        return runToy(tuning, new Map(params).set(tensorName, values)).loss;
      };
      const expected = (at(1e-5) - at(-1e-5)) / 2e-5;
      const got = grads.get(tensorName)![element]!;
      expect(Math.abs(got - expected), tensorName).toBeLessThan(1e-6 * Math.max(1, Math.abs(expected)));
    }
  });

  it('adds to the base by its weight', async () => {
    const params = await startingParams(tuning, 0.2);
    const alone = runToy(tuning, params).logits;
    const weighted = (weight: number) => {
      const together = combinedTuning([{ name: 'a', tuning, weight }]);
      return runToy(together, prefixedParams('a', params)).logits;
    };
    expect(gap(weighted(1), alone)).toBeLessThan(1e-9);
    expect(gap(weighted(0), base)).toBeLessThan(1e-9);
    expect(gap(weighted(0.5), alone)).toBeGreaterThan(1e-3);
  });

  it('as frozen values beside a trained adapter gets no gradient', async () => {
    const params = await startingParams(tuning, 0.2);
    const other = bound('lora', { rank: 1, targetModules: ['k_proj'] });
    const together = combinedTuning([
      { name: 'global', tuning, weight: 0.7, frozen: params },
      { name: 'own', tuning: other, weight: 0.3 },
    ]);
    const start = await startingParams(together, 0.2);
    const { grads, logits } = runToy(together, start);
    expect([...grads.keys()].sort()).toEqual(other.tensors.map((item) => `own/${item.name}`));
    const both = combinedTuning([
      { name: 'global', tuning, weight: 0.7 },
      { name: 'own', tuning: other, weight: 0.3 },
    ]);
    const all = new Map([...start, ...prefixedParams('global', params)]);
    expect(gap(runToy(both, all).logits, logits)).toBeLessThan(1e-9);
    expect(adapterParams('global', all)).toEqual(params);
  });

  it.runIf(tuning.merged !== undefined)('computes the same merged into the weights', async () => {
    const params = await startingParams(tuning, 0.2);
    const changes = tuning.merged!(params);
    const weights: Params = new Map(
      [...toyWeights].map(([parameter, value]) => {
        const change = changes.get(parameter);
        return [parameter, change === undefined ? value : tensor('float32', value.shape, change(value.data))];
      }),
    );
    expect([...changes.keys()].every((parameter) => weights.has(parameter))).toBe(true);
    const merged = runToy(frozen, new Map(), { weights }).logits;
    expect(gap(merged, runToy(tuning, params).logits)).toBeLessThan(2e-5);
  });

  it('comes back from its file', async () => {
    const params = await startingParams(tuning, 0.2);
    const config = JSON.parse(adapterConfigText(tuning, 'owner/base'));
    const read = parseAdapter(config, params, toy, tuningKinds);
    expect(read.tuning.kind).toBe(tuning.kind);
    expect(read.tuning.tensors).toEqual(tuning.tensors);
    expect(read.tuning.adapterConfig()).toEqual(tuning.adapterConfig());
    expect(gap(runToy(read.tuning, read.params).logits, runToy(tuning, params).logits)).toBe(0);
  });

  it('is refused for a model of another task and with settings that nobody reads', async () => {
    const params = await startingParams(tuning);
    const config = JSON.parse(adapterConfigText(tuning, 'owner/base'));
    const refusal = (changed: object) => () =>
      parseAdapter({ ...config, ...changed }, params, toy, tuningKinds);
    expect(refusal({ task_type: 'SEQ_CLS' })).toThrow(/task_type "SEQ_CLS"/);
    expect(refusal({ setting_of_tomorrow: 2 })).toThrow(/setting_of_tomorrow/);
  });
});
