import { describe, expect, it } from 'vitest';
import { type Params, tensor } from '../../base/tensor.ts';
import { bindMethod } from '../method.ts';
import { methods } from './registry.ts';

const params = (...values: number[]): Params =>
  new Map([['w', tensor('float32', [values.length], Float32Array.from(values))]]);

const MOVES = [
  [0.5, -0.25],
  [0.125, 0.5],
  [-0.25, 0],
];

/** Three rounds from (1, 2). */
function afterThree(id: string, options: object, serverLearningRate: number): number[] {
  const method = methods.get(id)!;
  const step = bindMethod(method, method.options.parse(options)).serverStep!;
  let state: Params | undefined;
  let current = params(1, 2);
  for (const [i, move] of MOVES.entries()) {
    const aggregate = params(...move);
    const next = step({ round: i + 1, params: current, aggregate, state, serverLearningRate });
    current = next.params;
    state = next.state;
  }
  return [...current.get('w')!.data];
}

/** Computed apart, in float64, from the formulas as the dialects' programs write them: β 0.9 / 0.99, τ 1e-3, η 0.1. */
const GOLDEN = [
  ['fedadagrad', { dialect: 'paper' }, [1.0804393, 1.9896821]],
  ['fedadagrad', { dialect: 'flower' }, [1.0804395, 1.9896814]],
  ['fedadagrad', { dialect: 'openfedllm' }, [1.0804393, 1.9896821]],
  ['fedadam', { dialect: 'paper' }, [1.2541992, 1.9960359]],
  ['fedadam', { dialect: 'flower' }, [1.1694115, 1.9846299]],
  ['fedadam', { dialect: 'openfedllm' }, [2.7777786, 2.3369388]],
  ['fedyogi', { dialect: 'paper' }, [1.2533332, 1.9957306]],
  ['fedyogi', { dialect: 'flower' }, [1.2533795, 1.9956712]],
  ['fedyogi', { dialect: 'openfedllm' }, [2.7745999, 2.3340102]],
] as const;

describe('server optimizers', () => {
  it.each(GOLDEN)('%s, dialect %o', (id, options, expected) => {
    for (const [i, value] of afterThree(id, options, 0.1).entries())
      expect(value).toBeCloseTo(expected[i]!, 5);
  });

  it('momentum adds up (hsu) or averages (openfedllm)', () => {
    // hsu: v = .5, .375+.125 …: v₁ = .5, v₂ = .5·.5 + .125 = .375, v₃ = .1875 − .25 = −.0625.
    expect(afterThree('fedavgm', { momentum: 0.5 }, 1)[0]).toBeCloseTo(1 + 0.5 + 0.375 - 0.0625, 6);
    // openfedllm: v₁ = .5, v₂ = .25 + .0625 = .3125, v₃ = .15625 − .125 = .03125.
    const averaged = afterThree('fedavgm', { momentum: 0.5, dialect: 'openfedllm' }, 1);
    expect(averaged[0]).toBeCloseTo(1 + 0.5 + 0.3125 + 0.03125, 6);
  });

  it('Adam and Yogi are one in the first round of a fresh second moment that only grows', () => {
    const first = (id: string) => {
      const method = methods.get(id)!;
      const step = bindMethod(method, method.options.parse({ dialect: 'flower', beta2: 0 })).serverStep!;
      const input = { params: params(1, 2), aggregate: params(0.5, -0.25), state: undefined };
      return step({ ...input, round: 1, serverLearningRate: 0.1 }).state!.get('second-moment:w')!.data;
    };
    expect([...first('fedadam')]).toEqual([...first('fedyogi')]);
  });

  it('what does not travel stays as it is, and keeps no memory', () => {
    const method = methods.get('fedadam')!;
    const step = bindMethod(method, method.options.parse({})).serverStep!;
    const both: Params = new Map([...params(1, 2), ['own', tensor('float32', [1], Float32Array.of(3))]]);
    const next = step({
      ...{ round: 1, params: both, aggregate: params(1, 1), state: undefined, serverLearningRate: 1 },
    });
    expect([...next.params.get('own')!.data]).toEqual([3]);
    expect([...next.state!.keys()]).toEqual(['moment:w', 'second-moment:w']);
  });
});
