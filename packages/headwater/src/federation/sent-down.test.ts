import { describe, expect, it } from 'vitest';
import { rng } from '../base/random.ts';
import { type Params, sizeOf, tensor, zeros } from '../base/tensor.ts';
import { bindMethod } from './method.ts';
import { methods } from './methods/registry.ts';
import { encodedBytes, encodeParams, sortedParams } from './params.ts';
import { beginning, leavesNoRest, restOf, sendsAll, sentDown, sentDownBytes } from './sent-down.ts';
import { largestOf } from './sparse-update.ts';

const PREFIX = 'base_model.model.model.layers';
const tensors = [0, 1, 2].flatMap((layer) => [
  { name: `${PREFIX}.${layer}.self_attn.q_proj.lora_A.weight`, shape: [4, 6] },
  { name: `${PREFIX}.${layer}.self_attn.q_proj.lora_B.weight`, shape: [8, 4] },
]);
const random = rng('sent-down');
const params: Params = sortedParams(
  tensors.map(({ name, shape }) => {
    const values = Float32Array.from({ length: sizeOf(shape) }, () => random.normal());
    return [name, tensor('float32', shape, values)];
  }),
);
const bits = (of: Params) => Buffer.from(encodeParams(of)).toString('hex');
const senderOf = (kind: string, options: object = {}) => {
  const record = methods.get(kind)!;
  return { method: bindMethod(record, record.options.parse(options)), tensors };
};
const to = (owner: string, round = 1) => ({ seed: 1, round, owner });

const CASES: readonly (readonly [string, object])[] = [
  ['fedavg', {}],
  ['ffa-lora', {}],
  ['rolora', {}],
  ['fedsa-lora', {}],
  ['flexlora', { ranks: { levels: [1, 2, 4] } }],
  ['flora', {}],
  ['flasc', { down: { levels: [0.1, 0.25, 0.5, 1] } }],
  ['fedra', { capacity: { default: 0.4 } }],
  ['chainfed', { window: 1, lambda: 0 }],
];

describe.each(CASES)('what goes down by %s', (kind, options) => {
  const sender = senderOf(kind, options);
  const owners = ['ann', 'ben', 'cid', 'dot', 'eve'];

  it('is as large as names and shapes say', () => {
    for (const round of [1, 2, 3])
      for (const owner of owners)
        expect(encodedBytes(sentDown(sender, params, to(owner, round)))).toBe(
          sentDownBytes(sender, to(owner, round)),
        );
  });

  it('is the same for owners who are said to receive the same', () => {
    const seen = new Map<string, string>();
    for (const owner of owners) {
      const key = sender.method.receivesAs(owner);
      const sent = bits(sentDown(sender, params, to(owner, 2)));
      expect(seen.get(key) ?? sent).toBe(sent);
      seen.set(key, sent);
    }
  });

  it('gives each tensor its value, a leading block of it, or nothing', () => {
    const sent = sentDown(sender, params, to('ann', 2));
    const begun = beginning(sender, { sent, rest: restOf(sender, params, 2), own: new Map() }, to('ann', 2));
    expect([...begun.keys()]).toEqual([...params.keys()]);
    for (const [name, { shape, data }] of begun) {
      expect(shape).toEqual(params.get(name)!.shape);
      for (const [i, value] of data.entries()) expect([0, params.get(name)!.data[i]!]).toContain(value);
    }
  });
});

it('the params themselves are sent where nothing is cut, frozen or personal', () => {
  expect(sendsAll(senderOf('fedavg'), 1)).toBe(true);
  expect(bits(sentDown(senderOf('fedavg'), params, to('ann')))).toBe(bits(params));
  expect(sendsAll(senderOf('ffa-lora'), 1)).toBe(false);
  expect(leavesNoRest(senderOf('ffa-lora'), 1)).toBe(false);
  expect(leavesNoRest(senderOf('flexlora'), 1)).toBe(true);
  expect(sendsAll(senderOf('flexlora'), 1)).toBe(false);
});

it('what an owner keeps stands in for what is not sent, never for what is', () => {
  const sender = senderOf('fedsa-lora');
  const own = new Map([...params].map(([name, { shape }]) => [name, zeros('float32', shape)]));
  const sent = sentDown(sender, params, to('ann'));
  const begun = beginning(sender, { sent, rest: restOf(sender, params, 1), own }, to('ann'));
  for (const [name, value] of begun) expect(value).toEqual(sent.has(name) ? params.get(name) : own.get(name));
});

it('the largest elements arrive where they were', () => {
  const sender = senderOf('flasc', { down: { default: 0.25 } });
  const sent = sentDown(sender, params, to('ann'));
  const begun = beginning(sender, { sent, rest: new Map(), own: new Map() }, to('ann'));
  expect(bits(begun)).toBe(bits(largestOf(params, 3 * 14)));
});
