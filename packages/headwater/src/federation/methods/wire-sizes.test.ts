import { beforeAll, describe, expect, it } from 'vitest';
import { settingOf } from '../../../test/support/method-settings.ts';
import { FIXTURES } from '../../../test/training-setup.ts';
import { sizeOf, zeros } from '../../base/tensor.ts';
import { openCheckpoint } from '../../models/checkpoint-node.ts';
import type { Model } from '../../models/model.ts';
import { lora } from '../../tuning/lora.ts';
import { bindMethod } from '../method.ts';
import { sentDown } from '../sent-down.ts';
import { methods } from './registry.ts';

const RANK = 2;
const TARGETS = ['q_proj', 'v_proj'];

/** Of the adapted modules W [E, D]. */
interface Sizes {
  /** Σ r D and Σ r E: numbers in the factors A and B. */
  readonly a: number;
  readonly b: number;
  /** Σ D E. */
  readonly dense: number;
  readonly modules: number;
}

const LORA = ({ a, b }: Sizes) => a + b;

/** Numbers that travel up and down in the round, by the published methods’ own counts. */
const FORMULAS: readonly (readonly [
  ids: string,
  round: number,
  up: (sizes: Sizes) => number,
  down: (sizes: Sizes) => number,
])[] = [
  ['fedavg fedprox fedavgm fedadagrad fedadam fedyogi diloco ditto feddpa fdlora fedsdr', 1, LORA, LORA],
  ['hetlora rbla zeropad flexlora lora-fair federa chainfed', 1, LORA, LORA],
  ['ffa-lora', 1, ({ b }) => b, ({ b }) => b],
  ['fedsa-lora', 1, ({ a }) => a, ({ a }) => a],
  ['rolora', 1, ({ b }) => b, ({ b }) => b],
  ['rolora', 2, ({ a }) => a, ({ a }) => a],
  ['scaffold', 1, (s) => 2 * LORA(s), (s) => 2 * LORA(s)],
  ['fedex-lora', 1, LORA, (s) => LORA(s) + s.dense],
  ['flora', 1, LORA, ({ dense }) => dense],
  ['fed-sb', 3, ({ modules }) => modules * RANK ** 2, ({ modules }) => modules * RANK ** 2],
  // A value and a distance for each of a quarter of the elements.
  ['flasc', 1, (s) => 2 * Math.floor(LORA(s) / 4), (s) => 2 * Math.floor(LORA(s) / 4)],
];

let model: Model;
beforeAll(async () => {
  model = await openCheckpoint(`${FIXTURES}/huggingface/llama`);
});

describe.each(FORMULAS)('%s in round %i', (ids, round, up, down) => {
  it.each(ids.split(' '))('%s: as many numbers up and down as its formula says', (id) => {
    const record = methods.get(id)!;
    const method = bindMethod(record, record.options.parse(settingOf(id).options ?? {}));
    const { definition } = model;
    const bound = lora.bind(lora.options.parse({ rank: RANK, targetModules: TARGETS }), definition);
    const { tensors } = method.tuning(bound, definition, { rounds: 3, localSteps: 2 });
    const params = new Map(tensors.map(({ name, shape }) => [name, zeros('float32', shape)]));
    const received = sentDown({ method, tensors }, params, { seed: 1, round, owner: 'ann' });
    const sizes = sizesOf(model);
    expect(numbersIn(method.wire(tensors, round, 'ann'))).toBe(up(sizes));
    expect(numbersIn([...received.values()])).toBe(down(sizes));
  });
});

const numbersIn = (tensors: readonly { readonly shape: readonly number[] }[]) =>
  tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0);

function sizesOf({ definition }: Model): Sizes {
  const modules = definition.linears.filter(({ module }) =>
    TARGETS.some((target) => module.endsWith(target)),
  );
  const sum = (of: (linear: (typeof modules)[number]) => number) =>
    modules.reduce((total, linear) => total + of(linear), 0);
  return {
    a: sum(({ inFeatures }) => RANK * inFeatures),
    b: sum(({ outFeatures }) => RANK * outFeatures),
    dense: sum(({ inFeatures, outFeatures }) => inFeatures * outFeatures),
    modules: modules.length,
  };
}
