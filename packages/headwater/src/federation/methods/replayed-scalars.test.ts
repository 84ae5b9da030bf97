import { beforeAll, describe, expect, it } from 'vitest';
import {
  type FederationOptions,
  type ModelFederation,
  modelFederation,
} from '../../../test/support/model-federation.ts';
import { distance } from '../../../test/training-setup.ts';
import { type Params, tensor } from '../../base/tensor.ts';
import { full } from '../../tuning/full.ts';
import type { ModelLayout } from '../../tuning/kind.ts';
import { lora } from '../../tuning/lora.ts';
import { decodeParams, differenceOf, encodeParams, selectParams } from '../params.ts';

const bindLora = (layout: ModelLayout) =>
  lora.bind(lora.options.parse({ rank: 2, targetModules: ['q_proj', 'v_proj'] }), layout);
const bindFull = (layout: ModelLayout) => full.bind(full.options.parse({}), layout);

const bytes = (params: Params) => Buffer.from(encodeParams(params)).toString('base64');
const model = ({ tuning }: ModelFederation, held: Params) => tuning.derivation?.forward(held) ?? held;

describe('FedKSeed', () => {
  const options = { seeds: 32 };
  let federation: ModelFederation;
  beforeAll(async () => {
    federation = await modelFederation('fedkseed', {
      options,
      bind: bindLora,
      localSteps: 5,
      learningRate: 1e-2,
    });
  });

  it('a client’s scalars replayed from the base are its trajectory, to float32', async () => {
    const { client, server, initial } = federation;
    const points: Params[] = [];
    const watching = await modelFederation('fedkseed', {
      ...{ options, bind: bindLora, localSteps: 5, learningRate: 1e-2 },
      engine: {
        loss: (params, ...rest) => {
          points.push(params);
          return federation.engine.loss(params, ...rest);
        },
      },
    });
    const { update } = await watching.client(1, 'ann', initial);
    expect((await client(1, 'ann', initial)).update).toEqual(update);
    const after = model(federation, (await server(1, initial, { ann: update })).params);
    // The middle of the last pair of points is where the last step began.
    const sums = decodeParams(update).get('fedkseed.accumulators')!.data;
    expect([...sums].filter((x) => x !== 0).length).toBeGreaterThan(0);
    const [above, below] = points.slice(-2) as [Params, Params];
    const middle = new Map(
      [...after.keys()].map((name) => {
        const [a, b] = [above.get(name)!, below.get(name)!];
        return [
          name,
          tensor(
            'float32',
            a.shape,
            a.data.map((x, i) => (x + b.data[i]!) / 2),
          ),
        ] as const;
      }),
    );
    // One more step of the five separates them.
    expect(distance(after, middle)).toBeLessThan(
      0.5 *
        distance(
          after,
          selectParams(initial, (name) => after.has(name)),
        ),
    );
  });

  it('who joins late has the same model from the base and the scalars alone, hash for hash', async () => {
    const after = (await federation.run(3))[2]!;
    const accumulators = after.get('fedkseed.accumulators')!;
    const late = await modelFederation('fedkseed', { options, bind: bindLora });
    const rebuilt = new Map([...late.initial, ['fedkseed.accumulators', accumulators]]);
    expect(bytes(model(late, rebuilt))).toBe(bytes(model(federation, after)));
    for (const [name, { data }] of federation.initial)
      if (name !== 'fedkseed.accumulators') expect(after.get(name)!.data).toEqual(data);
  });

  it('K scalars go each way, whatever the model', async () => {
    for (const [bind, choice, tensors] of [
      [bindLora, 'uniform', 1],
      [bindFull, 'uniform', 1],
      [bindLora, 'slopes', 3],
    ] as const) {
      const seeds = 1024;
      const { client, initial } = await modelFederation('fedkseed', { options: { seeds, choice }, bind });
      const { update, downBytes } = await client(1, 'ann', initial);
      for (const measured of [update.byteLength, downBytes]) {
        expect(measured).toBeGreaterThanOrEqual(4 * seeds * tensors);
        expect(measured).toBeLessThan(4 * seeds * tensors + 130 * tensors);
      }
    }
  });

  it('Pro draws seeds with steep slopes more often', async () => {
    const pro = await modelFederation('fedkseed', {
      options: { seeds: 4, choice: 'slopes' },
      bind: bindLora,
      localSteps: 60,
      learningRate: 1e-6,
    });
    const fill = (...values: number[]) => tensor('float32', [4], Float32Array.from(values));
    const known = new Map([
      ...pro.initial,
      ['fedkseed.slopes', fill(1, 0, 0, 0)],
      ['fedkseed.draws', fill(1, 1, 1, 1)],
    ] as const);
    const draws = decodeParams((await pro.client(1, 'ann', known)).update).get('fedkseed.draws')!.data;
    // e / (e + 3) = 0.475 of 60 draws; 1 / (e + 3) = 0.175 for each of the others.
    expect(draws[0]!).toBeGreaterThan(Math.max(draws[1]!, draws[2]!, draws[3]!));
    expect(draws.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
  });
});

describe('DeComFL', () => {
  const chosen: FederationOptions = { options: { perturbations: 3 }, bind: bindLora, rounds: 4 };

  it('all replicas have the same bits: grown round by round, made at once, and after a stay away', async () => {
    const steady = await modelFederation('decomfl', chosen);
    const after = await steady.run(4);
    const each = after.map((held) => bytes(model(steady, held)));
    const late = await modelFederation('decomfl', chosen);
    expect(bytes(model(late, after[3]!))).toBe(each[3]);
    const away = await modelFederation('decomfl', chosen);
    model(away, after[0]!);
    expect(bytes(model(away, after[3]!))).toBe(each[3]);
    // Back to an earlier round it does not take the later one for its beginning.
    expect(bytes(model(away, after[1]!))).toBe(each[1]);
    expect(new Set(each).size).toBe(4);
  });

  it('the mean of scalars is the mean of the movements', async () => {
    const { client, server, initial, tuning } = await modelFederation('decomfl', {
      ...chosen,
      localSteps: 1,
    });
    const sent = {
      ann: (await client(1, 'ann', initial)).update,
      ben: (await client(1, 'ben', initial)).update,
    };
    const base = tuning.derivation!.forward(initial);
    const moved = async (of: Record<string, Uint8Array>) =>
      differenceOf(tuning.derivation!.forward((await server(1, initial, of)).params), base);
    const [both, ann, ben] = [
      await moved(sent),
      await moved({ ann: sent.ann }),
      await moved({ ben: sent.ben }),
    ];
    for (const [name, { data }] of both)
      for (const [i, x] of data.entries())
        expect(x).toBeCloseTo(ann.get(name)!.data[i]! / 3 + (2 * ben.get(name)!.data[i]!) / 3, 6);
  });

  it('steps · P scalars go up, the record so far goes down', async () => {
    const { client, run, initial } = await modelFederation('decomfl', chosen);
    const after = await run(2);
    const first = await client(1, 'ann', initial);
    const third = await client(3, 'ann', after[1]!);
    expect(decodeParams(first.update).get('decomfl.scalars')!.shape).toEqual([6]);
    expect(first.downBytes).toBeLessThan(100);
    expect(third.downBytes - 4 * 2 * 6).toBeGreaterThan(0);
    expect(third.downBytes - 4 * 2 * 6).toBeLessThan(130);
  });
});
