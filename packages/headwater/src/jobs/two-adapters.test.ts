import { describe, expect, it } from 'vitest';
import { methodBench } from '../../test/support/method-bench.ts';
import { type Params, tensor } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';
import { bindMethod } from '../federation/method.ts';
import { methods } from '../federation/methods/registry.ts';
import { addScaled, encodeParams, l2Norm, overlaid, selectParams } from '../federation/params.ts';
import { secondOf, weighted } from '../federation/two-adapters.ts';
import { FIRST_WEIGHT, isSecondFactor, SECOND_WEIGHT } from '../tuning/second-adapter.ts';

const SCORE = { batchSize: 4, maxLength: 64 };
const bits = (params: Params) => Buffer.from(encodeParams(params)).toString('hex');
const firstOf = (params: Params): Params =>
  new Map([...params].filter(([name]) => name.startsWith('base_model.')));

/** What each training of a round may change. */
interface Stage {
  readonly trains: 'first' | 'second' | 'both';
  readonly weights: readonly number[];
  readonly examples: readonly TokenizedExample[];
}

function stagesInto(stages: Stage[], names: readonly string[]) {
  return (
    start: Params,
    examples: readonly TokenizedExample[],
    { frozen = new Set() }: { frozen?: ReadonlySet<string> },
  ) => {
    const trained = names.filter((name) => !frozen.has(name));
    const second = trained.some(isSecondFactor);
    const first = trained.some((name) => name.startsWith('base_model.'));
    const weights = [FIRST_WEIGHT, SECOND_WEIGHT].map((name) => start.get(name)!.data[0]!);
    stages.push({ trains: first && second ? 'both' : first ? 'first' : 'second', weights, examples });
  };
}

describe('a network with two adapters', () => {
  it.each(['feddpa', 'fdlora'])('%s: at weights 1 and 0 it is the network of the first alone', async (id) => {
    const bench = await methodBench(id, {});
    const alone = await methodBench('fedavg', {});
    const { sent } = await bench.round({ round: 2 });
    const params = overlaid(bench.params, sent);
    expect(l2Norm(sent)).toBeGreaterThan(0);
    const scores = await bench.engine.score(params, bench.examples, SCORE);
    expect(scores).toEqual(await alone.engine.score(firstOf(params), bench.examples, SCORE));
  });

  it('outputs are mixed by the weights: half of each of two equal adapters is one of them', async () => {
    const { engine, params, examples, round } = await methodBench('feddpa', {});
    const { keeps } = await round();
    const second = secondOf(keeps.personal);
    const twins = new Map([...second].map(([name, value]) => [name.slice('second-adapter.'.length), value]));
    const equal = overlaid(overlaid(params, second), twins);
    const [half, whole, none] = await Promise.all(
      [weighted(equal, 0.5, 0.5), weighted(equal, 1, 0), weighted(equal, 0, 0)].map((of) =>
        engine.score(of, examples, SCORE),
      ),
    );
    expect(whole![0]!.nll).not.toBeCloseTo(none![0]!.nll, 4);
    for (const [i, { nll }] of whole!.entries()) expect(half![i]!.nll).toBeCloseTo(nll, 4);
  });
});

describe('FedDPA', () => {
  it('trains the local adapter in the mixture with the global one frozen, then the global one alone', async () => {
    const bench = await methodBench('feddpa', { localWeight: 0.25 });
    const stages: Stage[] = [];
    const names = bench.tuning.tensors.map(({ name }) => name);
    const { sent, keeps, stats } = await bench.round({ seen: stagesInto(stages, names) });
    expect(stages.map(({ trains, weights }) => [trains, weights])).toEqual([
      ['second', [0.75, 0.25]],
      ['first', [1, 0]],
    ]);
    expect([...sent.keys()].filter(isSecondFactor)).toEqual([]);
    expect([...keeps.personal.keys()].every(isSecondFactor)).toBe(true);
    expect(l2Norm(keeps.personal)).not.toBe(l2Norm(secondOf(bench.params)));
    expect(stats.steps).toBe(8);
  });

  it('sends the bits that FedAvg sends, whatever the local adapter is', async () => {
    const [dual, single] = [await methodBench('feddpa', {}), await methodBench('fedavg', {})];
    const first = await dual.round();
    const second = await dual.round({ round: 2, kept: first.kept });
    expect(bits(first.sent)).toBe(bits((await single.round()).sent));
    expect(bits(second.sent)).toBe(bits((await single.round({ round: 2 })).sent));
    expect(l2Norm(second.keeps.personal)).not.toBe(l2Norm(first.keeps.personal));
  });

  it('weight 0: an owner is scored with the global model', async () => {
    const { method, params, round } = await methodBench('feddpa', { localWeight: 0 });
    const { keeps } = await round();
    const own = method.ownParams(params, keeps);
    expect(own.get(SECOND_WEIGHT)!.data[0]).toBe(0);
    expect(own.get(FIRST_WEIGHT)!.data[0]).toBe(1);
    expect(bits(firstOf(own))).toBe(bits(firstOf(params)));
  });

  it('afterwards: global rounds first, then nothing travels and the global adapter stays', async () => {
    const bench = await methodBench('feddpa', { order: 'afterwards', globalRounds: 1 });
    const first = await bench.round();
    expect(first.sent.size).toBe(4 * 2);
    expect(l2Norm(first.keeps.personal)).toBe(l2Norm(secondOf(bench.params)));
    const second = await bench.round({ round: 2, kept: first.kept });
    expect(second.sent.size).toBe(0);
    expect(l2Norm(second.keeps.personal)).not.toBe(l2Norm(first.keeps.personal));
    const facts = { numOwners: 2, cohortSize: 2, quorum: 2, rounds: 1, tensors: bench.tuning.tensors };
    expect(bench.method.preconditions(facts)).toEqual([expect.stringContaining('globalRounds')]);
  });
});

describe('FDLoRA', () => {
  it('round 1 makes the personal adapter and sends it; later ones train the global one, until H says to copy', async () => {
    const bench = await methodBench('fdlora', { syncEvery: 3, fusion: { trials: 4 } });
    const first = await bench.round();
    const trained = overlaid(
      bench.params,
      addScaled(
        selectParams(bench.params, (name) => first.sent.has(name)),
        first.sent,
        1,
      ),
    );
    for (const [name, { data }] of first.keeps.personal)
      expect([...data]).toEqual([...trained.get(name.slice('second-adapter.'.length))!.data]);
    const second = await bench.round({ round: 2, kept: first.kept });
    expect(bits(second.keeps.personal)).toBe(bits(first.keeps.personal));
    expect(l2Norm(second.sent)).toBeGreaterThan(0);
    const params = addScaled(bench.params, first.sent, 1);
    const third = await bench.round({ round: 3, kept: second.kept, params });
    expect(bits(third.keeps.personal)).not.toBe(bits(first.keeps.personal));
    for (const { sent } of [first, second, third])
      expect([...sent.keys()].filter(isSecondFactor)).toEqual([]);
  });

  it('an owner uses what the search found: no worse than the global adapter on what it saw', async () => {
    const bench = await methodBench('fdlora', { fusion: { trials: 8, l1: 0 } });
    const first = await bench.round();
    const params = addScaled(bench.params, first.sent, 0.5);
    const { keeps } = await bench.round({ round: 2, kept: first.kept, params });
    const own = bench.method.ownParams(params, keeps);
    expect(own.get(SECOND_WEIGHT)!.data[0]).not.toBe(0);
    const loss = async (of: Params) =>
      (await bench.engine.gradients(of, bench.examples, { maxLength: 64 })).loss;
    expect(await loss(own)).toBeLessThan(await loss(params));
  });

  it('weights (0, 1) are the global model', async () => {
    const { method, params, round } = await methodBench('fdlora', {});
    const { keeps } = await round();
    expect(bits(firstOf(method.ownParams(params, keeps)))).toBe(bits(firstOf(params)));
    expect(method.ownParams(params, keeps).get(SECOND_WEIGHT)!.data[0]).toBe(0);
  });

  it('server: the mean in round 1, Nesterov momentum after', () => {
    const record = methods.get('fdlora')!;
    const step = bindMethod(record, record.options.parse({ momentum: 0.5 })).serverStep!;
    const one = (x: number): Params => new Map([['w', tensor('float32', [1], Float32Array.of(x))]]);
    const at = { serverLearningRate: 1, state: undefined };
    const first = step({ ...at, round: 1, params: one(0), aggregate: one(1) });
    expect(first.params.get('w')!.data[0]).toBe(1);
    const second = step({ ...at, round: 2, params: one(1), aggregate: one(1), state: first.state });
    expect(second.params.get('w')!.data[0]).toBe(1 + 1 + 0.5);
    const third = step({ ...at, round: 3, params: one(0), aggregate: one(1), state: second.state });
    // v = 0.5 · 1 + 1
    expect(third.params.get('w')!.data[0]).toBe(1 + 0.5 * 1.5);
  });
});

describe('FedSDR', () => {
  /** Tokens are words; the model writes with token 7 as its end. */
  const text = { encode: async () => [3, 4], endTokens: [7], maxTokens: 64 };

  it('trains S on rewritten answers with R frozen, then R on the owner’s with S frozen; sends R, keeps S', async () => {
    const bench = await methodBench('fedsdr', {});
    const names = bench.tuning.tensors.map(({ name }) => name);
    const stages: Stage[] = [];
    const { sent, keeps } = await bench.round({ text, seen: stagesInto(stages, names) });
    expect(stages.map(({ trains, weights }) => [trains, weights])).toEqual([
      ['second', [1, 1]],
      ['first', [1, 1]],
    ]);
    const [rewritten, raw] = stages.map(({ examples }) => examples);
    for (const [i, { tokens, supervised }] of raw!.entries()) {
      const begin = supervised.indexOf(1);
      expect([...rewritten![i]!.tokens.subarray(0, begin)]).toEqual([...tokens.subarray(0, begin)]);
      expect(rewritten![i]!.tokens.length).toBeLessThanOrEqual(tokens.length);
    }
    expect(rewritten!.map(({ tokens }) => tokens.join())).not.toEqual(
      raw!.map(({ tokens }) => tokens.join()),
    );
    expect([...sent.keys()].filter(isSecondFactor)).toEqual([]);
    expect(bits(sent)).not.toBe(bits((await (await methodBench('fedavg', {})).round()).sent));
    expect([...keeps.personal.keys()].every(isSecondFactor)).toBe(true);
    expect(l2Norm(keeps.personal)).not.toBe(l2Norm(secondOf(bench.params)));
  });

  it('has each answer rewritten once', async () => {
    const bench = await methodBench('fedsdr', { adapterS: 'fresh' });
    const first = await bench.round({ text });
    const again = { ...text, encode: async () => [5] };
    const second = await bench.round({ text: again, round: 2, kept: first.kept });
    expect(bits(second.keeps.memory!)).toBe(bits(first.keeps.memory!));
    expect(bits(second.keeps.personal)).toBe(bits(secondOf(bench.params)));
  });

  it('the same bytes as FedAvg; the result is R, an owner’s own model has S too', async () => {
    const bench = await methodBench('fedsdr', {});
    const { update, keeps } = await bench.round({ text });
    expect(update.byteLength).toBe((await (await methodBench('fedavg', {})).round()).update.byteLength);
    expect(bits(secondOf(bench.method.ownParams(bench.params, keeps)))).toBe(bits(keeps.personal));
    const { method } = await methodBench('fedsdr', { scoreWith: 'global' });
    expect(bits(method.ownParams(bench.params, keeps))).toBe(bits(bench.params));
  });

  it('a model that does not write is refused by name', async () => {
    const bench = await methodBench('fedsdr', {});
    await expect(bench.round()).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });
});
