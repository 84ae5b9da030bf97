import { describe, expect, it } from 'vitest';
import { type Params, tensor } from '../../base/tensor.ts';
import type { TrainableTensor } from '../../tuning/kind.ts';
import { aggregateRound } from '../aggregate.ts';
import { planFixedPoint } from '../fixed-point.ts';
import { type BoundMethod, bindMethod, type RunFacts } from '../method.ts';
import { methods } from '../methods/registry.ts';
import { privacyMistakes } from '../privacy-needs.ts';
import { aggregateRobustly } from './aggregate-robustly.ts';
import { aggregateByTensor, goesByTensor } from './by-tensor.ts';
import { preAggregations, robustRules } from './registry.ts';
import { type BoundRule, bindRule, bindStep } from './rule.ts';
import { withRobustRule } from './with-rule.ts';

const TENSORS: TrainableTensor[] = [
  { name: 'a', shape: [2] },
  { name: 'b', shape: [3] },
];

function rule(kind: string, options: Record<string, unknown> = {}, steps: readonly string[] = []): BoundRule {
  const record = robustRules.get(kind)!;
  const bound = steps.map((id) =>
    bindStep(preAggregations.get(id)!, preAggregations.get(id)!.options.parse({})),
  );
  return bindRule(record, record.options.parse(options), { steps: bound, seed: 0 });
}

const method = (id: string, options: object = {}): BoundMethod =>
  bindMethod(methods.get(id)!, methods.get(id)!.options.parse(options));

const FACTS: RunFacts = {
  numOwners: 10,
  cohortSize: 10,
  quorum: 10,
  rounds: 2,
  localSteps: 2,
  tensors: TENSORS,
  mode: 'synchronous',
  weighting: 'uniform',
  compression: 'none',
};

const refusals = (bound: BoundRule, facts: Partial<RunFacts> = {}, id = 'fedavg', options: object = {}) =>
  withRobustRule(method(id, options), bound)
    .preconditions({ ...FACTS, ...facts })
    .filter((mistake) => mistake.startsWith('federation.robust'));

describe('what a robust rule refuses before anything starts', () => {
  it('nothing of an ordinary run', () => {
    expect(refusals(rule('krum', { byzantine: 3 }))).toEqual([]);
    expect(refusals(rule('trimmed-mean', { byzantine: 4 }, ['nnm']))).toEqual([]);
    expect(refusals(rule('geometric-median'), { weighting: 'examples' })).toEqual([]);
  });

  it.each([
    [
      'krum',
      { byzantine: 4 },
      {},
      /needs 2f \+ 3 = 11 updates, but a round may close with 10; .*byzantine: 3/,
    ],
    ['bulyan', { byzantine: 2 }, {}, /4f \+ 3 = 11 .*byzantine: 1/],
    [
      'median',
      { byzantine: 2 },
      { quorum: 4 },
      /2f \+ 1 = 5 updates, but a round may close with 4; .*byzantine: 1/,
    ],
    ['krum', { byzantine: 1 }, { quorum: 2 }, /raise federation.quorum and cohortSize/],
    [
      'krum',
      { byzantine: 1 },
      { weighting: 'examples' as const },
      /federation.weighting is examples; set it to uniform/,
    ],
    ['median', {}, { mode: 'buffered' as const }, /set federation.mode.kind: synchronous/],
    ['median', {}, { compression: 'top-k' }, /the middle of many zeros is zero; use float16/],
    ['krum', { byzantine: 1, space: 'products' }, {}, /set space: elements/],
    ['fltrust', {}, { numPublicExamples: 0 }, /name a file of examples as data.public/],
  ])('%s %j where %j', (kind, options, facts, expected) => {
    expect(refusals(rule(kind, options), facts).join()).toMatch(expected);
  });

  it('steps that believe everybody, or leave too few', () => {
    expect(refusals(rule('median', {}, ['nnm'])).join()).toMatch(/byzantine: 0 would treat all as honest/);
    expect(refusals(rule('median', { byzantine: 3 }, ['bucketing'])).join()).toMatch(
      /2f \+ 1 = 7 updates, but a round that closes with 10 leaves 5 after preAggregation; .*byzantine: 2/,
    );
    expect(refusals(rule('norm-bound', { norm: 1 }, ['arc']), { weighting: 'tokens' }).join()).toMatch(
      /or leave preAggregation out|byzantine: 0/,
    );
  });

  it('a noise that needs a bounded sum', () => {
    const facts = { tensors: TENSORS, weighting: 'uniform', fixedPoint: { fractionBits: 30 } } as const;
    const privacy = { clipNorm: 1, noiseMultiplier: 1, maxParticipations: 2 };
    const ruled = withRobustRule(method('fedavg'), rule('median', { byzantine: 1 }));
    expect(privacyMistakes({ ...facts, privacy }, method('fedavg'))).toEqual([]);
    expect(privacyMistakes({ ...facts, privacy }, ruled).join()).toContain('looks at single updates');
  });

  it('methods that do more than average', () => {
    const lora: TrainableTensor[] = [
      { name: 'base_model.model.m.lora_A.weight', shape: [2, 3] },
      { name: 'base_model.model.m.lora_B.weight', shape: [3, 2] },
    ];
    const krum = rule('krum', { byzantine: 1 });
    expect(refusals(krum, { tensors: lora }, 'flexlora').join()).toMatch(/has a rule of its own/);
    const controls = TENSORS.map(({ name, shape }) => ({ name: `control/${name}`, shape }));
    expect(refusals(krum, { tensors: [...TENSORS, ...controls] }, 'scaffold').join()).toMatch(
      /also sends what is no update/,
    );
    expect(refusals(krum, { tensors: lora }, 'ffa-lora')).toEqual([]);
    expect(refusals(krum, {}, 'fedadam')).toEqual([]);
  });
});

const updateOf = (value: number): Params =>
  new Map([
    ['a', tensor('float32', [2], Float32Array.of(value, -value))],
    ['b', tensor('float32', [3], Float32Array.of(value, 2 * value, 1))],
  ]);
const VALUES = [1, 1.5, 1.25, 0.75, 1000];
const MEMBERS = VALUES.map((value, i) => ({ owner: `o${i}`, update: String(value), aggregationWeight: 1 }));
const PARAMS = updateOf(0);
const PLAN = planFixedPoint(TENSORS, { fractionBits: 30, range: 8 });
const load = async (update: string) => updateOf(Number(update));

function roundOf(bound: BoundMethod, serverState?: Params) {
  const input = { round: 1, params: PARAMS, serverState, members: MEMBERS, serverLearningRate: 1 };
  return aggregateRound(bound, PLAN, input, load);
}

describe('a round of a method with a robust rule', () => {
  it('is the method’s, but for the mean', async () => {
    const { params, report, serverState } = await roundOf(
      withRobustRule(method('fedavg'), rule('krum', { byzantine: 1 })),
    );
    expect([...params.get('a')!.data]).toEqual([1, -1]);
    expect(report).toMatchObject({ numUpdates: 5, voices: { o0: 5, o4: 0 } });
    expect(serverState).toBeUndefined();
  });

  it('keeps the server’s own state beside the rule’s', async () => {
    const bound = withRobustRule(method('fedadam'), rule('centred-clipping', { radius: 0.5 }));
    const first = await roundOf(bound);
    const names = [...first.serverState!.keys()];
    expect(names.filter((name) => name.startsWith('robust.'))).toEqual(['robust.a', 'robust.b']);
    expect(names.length).toBeGreaterThan(2);
    const second = await roundOf(bound, first.serverState);
    expect(second.aggregateNorm).toBeGreaterThan(first.aggregateNorm);
    const alone = await roundOf(withRobustRule(method('fedavg'), rule('centred-clipping', { radius: 0.5 })));
    expect([...alone.serverState!.keys()]).toEqual(['robust.a', 'robust.b']);
  });

  it('tensor by tensor it gives the same bits, where nothing else is asked for', async () => {
    for (const kind of ['median', 'trimmed-mean', 'mean-around-median']) {
      const bound = rule(kind, { byzantine: 1 });
      const updates = MEMBERS.map(({ update, ...rest }) => ({ ...rest, update: updateOf(Number(update)) }));
      const context = { round: 1, params: PARAMS, state: undefined };
      const whole = aggregateRobustly(bound, updates, context).aggregate;
      expect(await aggregateByTensor(bound, MEMBERS, context, load, 15)).toEqual(whole);
      expect(await aggregateByTensor(bound, MEMBERS, context, load, 1)).toEqual(whole);
      expect(goesByTensor(bound, 2 ** 24, TENSORS)).toBe(true);
    }
    expect(goesByTensor(rule('median', { byzantine: 1 }, ['nnm']), 2 ** 24, TENSORS)).toBe(false);
    expect(goesByTensor(rule('krum', { byzantine: 1 }), 2 ** 24, TENSORS)).toBe(false);
  });
});
