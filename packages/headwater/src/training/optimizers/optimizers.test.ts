import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tensor } from '../../base/tensor.ts';
import { clipToNorm, globalNorm } from '../clip.ts';
import type { OptimizerOptions, ScheduleOptions } from '../engine.ts';
import { scheduleFactor } from '../schedules.ts';
import { initialState, optimizerStep } from './optimizer.ts';
import { optimizers } from './registry.ts';

function golden<T>(name: string): T {
  const path = join(import.meta.dirname, '../../../test/fixtures/training', name);
  return JSON.parse(readFileSync(path, 'utf8')).cases;
}

interface OptimizerCase {
  readonly kind: 'adamw' | 'sgd';
  readonly options: {
    readonly lr: number;
    readonly weight_decay: number;
    readonly betas?: [number, number];
    readonly eps?: number;
    readonly momentum?: number;
  };
  readonly start: number[];
  readonly gradients: number[][];
  readonly after: number[][];
}

function optionsOf({ kind, options }: OptimizerCase): OptimizerOptions {
  const [beta1, beta2] = options.betas ?? [0.9, 0.999];
  const { lr: learningRate, weight_decay: weightDecay, momentum = 0, eps: epsilon = 1e-8 } = options;
  return { kind, learningRate, beta1, beta2, epsilon, weightDecay, momentum };
}

describe('optimizers', () => {
  it.each(golden<OptimizerCase[]>('optimizers.json'))('$kind follows torch with $options', (given) => {
    const options = optionsOf(given);
    const optimizer = optimizers[given.kind];
    const vector = (values: number[]) => tensor('float32', [values.length], Float32Array.from(values));
    const params = new Map([['p', vector(given.start)]]);
    const state = initialState(optimizer, params, options);
    for (const [step, gradient] of given.gradients.entries()) {
      optimizerStep(
        optimizer,
        params,
        new Map([['p', vector(gradient)]]),
        state,
        options,
        options.learningRate,
      );
      for (const [i, expected] of given.after[step]!.entries()) {
        const got = params.get('p')!.data[i]!;
        expect(Math.abs(got - expected), `step ${step}, element ${i}`).toBeLessThanOrEqual(
          2e-6 * Math.max(1e-2, Math.abs(expected)),
        );
      }
    }
    expect(state.step).toBe(given.gradients.length);
  });
});

interface ScheduleCase extends ScheduleOptions {
  readonly totalSteps: number;
  readonly factors: number[];
}

describe('schedules', () => {
  it.each(golden<ScheduleCase[]>('schedules.json'))(
    '$kind with $warmupSteps of $totalSteps steps of warm-up follows transformers',
    ({ totalSteps, factors, ...options }) => {
      const ours = factors.map((_, step) => scheduleFactor(options, step, totalSteps));
      // transformers lets a cosine rise again after its end; a run that goes on keeps its last rate here.
      const inRun = factors.slice(0, totalSteps + 1);
      for (const [step, factor] of inRun.entries()) expect(ours[step]).toBeCloseTo(factor, 12);
      expect(ours.at(-1)).toBe(ours[totalSteps]);
    },
  );
});

interface ClipCase {
  readonly before: [number[], number[]];
  readonly after: [number[], number[]];
  readonly maxNorm: number;
  readonly norm: number;
}

describe('clipping', () => {
  it.each(golden<ClipCase[]>('clip.json'))(
    'to norm $maxNorm from $norm follows torch',
    ({ before, after, maxNorm, norm }) => {
      const grads = new Map(
        before.map((values, i) => [`g${i}`, tensor('float32', [values.length], Float32Array.from(values))]),
      );
      const ours = globalNorm(grads);
      expect(ours / norm).toBeCloseTo(1, 6);
      clipToNorm(grads, ours, maxNorm);
      for (const [i, values] of after.entries())
        for (const [j, value] of values.entries()) expect(grads.get(`g${i}`)!.data[j]).toBeCloseTo(value, 5);
    },
  );

  it('adds in name order, so that insertion order changes no bit', () => {
    const tensors = Array.from(
      { length: 40 },
      (_, i) => [`t${i}`, tensor('float32', [1], Float32Array.of(1.1 ** i / 7))] as const,
    );
    expect(globalNorm(new Map(tensors))).toBe(globalNorm(new Map([...tensors].reverse())));
  });
});
