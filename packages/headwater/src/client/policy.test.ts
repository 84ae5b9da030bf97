import { describe, expect, it } from 'vitest';
import type { Manifest } from '../federation/wire/messages.ts';
import { createPolicy } from './policy.ts';
import { parsePolicy } from './policy-text.ts';

const manifest: Manifest = {
  protocol: 1,
  run: 'demo',
  seed: 0,
  recipe: {
    threadsPerSession: 4,
    tuning: { kind: 'lora' },
    federation: { method: { kind: 'fedavg' }, rounds: 20, localSteps: 50 },
  },
  model: {
    source: 'seed-lm-7m',
    digest: 'a'.repeat(64),
    files: [{ path: 'model.safetensors', bytes: 5e9, digest: 'b'.repeat(64) }],
  },
  minCohort: 3,
  metrics: ['loss', 'exactMatch'],
  privacy: ['secure-aggregation'],
};

const against = (yaml: string) => createPolicy(parsePolicy(yaml, 'policy.yaml')).accepts(manifest);

describe('policy', () => {
  it('an empty one allows everything', () => {
    expect(against('')).toEqual([]);
    expect(createPolicy({}).mayLeave('loss')).toBe(true);
  });

  it('limits that the run keeps are no reasons', () => {
    const policy = `
models: [seed-lm-7m]
methods: [fedavg, fedprox]
tuning: [lora]
minCohort: 3
privacy: [secure-aggregation]
maxRounds: 20
maxLocalSteps: 50
maxThreads: 4
maxMemory: 8 GB`;
    expect(against(policy)).toEqual([]);
    expect(against(`models: [${'a'.repeat(64)}]`)).toEqual([]);
  });

  it.each([
    ['models: [other-model]', /base model is a{64}, seed-lm-7m; you allow other-model/],
    ['models: []', /you allow none/],
    ['methods: [fedprox]', /method is fedavg; you allow fedprox/],
    ['tuning: [ia3]', /tuning kind is lora/],
    ['minCohort: 4', /averages of 3 updates .* at least 4/],
    [
      'privacy: [differential-privacy]',
      /"differential-privacy" is not switched on \(on: secure-aggregation\)/,
    ],
    ['maxRounds: 19', /20 rounds; you allow 19/],
    ['maxLocalSteps: 49', /50 local steps in a round; you allow 49/],
    ['maxThreads: 2', /4 threads; you allow 2/],
    ['maxMemory: 4GB', /have 5 GB; you allow 4GB/],
  ])('%s', (policy, reason) => {
    const reasons = against(policy);
    expect(reasons).toHaveLength(1);
    expect(reasons[0]).toMatch(reason);
  });

  it('what a run does not say is not within a limit, and all reasons are told together', () => {
    const silent = { ...manifest, recipe: { federation: 'odd' } };
    const { accepts } = createPolicy({ maxRounds: 5, methods: ['fedavg'], minCohort: 9 });
    expect(accepts(silent)).toEqual([
      'the method is not stated; you allow fedavg',
      'averages of 3 updates may leave the coordinator; you ask for at least 9',
      'it wants an unstated number of rounds; you allow 5',
    ]);
  });

  it('figures that may leave are those it names', () => {
    const { mayLeave } = createPolicy({ metrics: ['loss'] });
    expect([mayLeave('loss'), mayLeave('exactMatch')]).toEqual([true, false]);
    expect(createPolicy({ metrics: [] }).mayLeave('loss')).toBe(false);
  });

  it('mistakes are told together, each with its line', () => {
    const text = 'maxRound: 3\nminCohort: many\nmaxMemory: plenty\n';
    expect(() => parsePolicy(text, 'policy.yaml')).toThrow(
      expect.objectContaining({
        code: 'POLICY_INVALID',
        message: expect.stringMatching(/:1:1.*did you mean "maxRounds"[\s\S]*:2:12[\s\S]*:3:12/),
      }),
    );
  });

  it.each(['a: &x [*x]', '- a list', '"just text"', '{', '__proto__: {metrics: []}'])(
    '%s is a mistake',
    (text) => {
      expect(() => parsePolicy(text, 'policy.yaml')).toThrow(
        expect.objectContaining({ code: 'POLICY_INVALID' }),
      );
    },
  );
});
