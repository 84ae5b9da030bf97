import { expect, it } from 'vitest';
import { type Params, tensor } from '../../base/tensor.ts';
import { bindMethod } from '../method.ts';
import { diloco } from './diloco.ts';

const params = (value: number): Params => new Map([['w', tensor('float32', [1], Float32Array.of(value))]]);

/** From 0, by these mean movements. */
function outer(moves: readonly number[], momentum: number, serverLearningRate: number): number {
  const step = bindMethod(diloco, { momentum }).serverStep!;
  let current = params(0);
  let state: Params | undefined;
  for (const [i, move] of moves.entries()) {
    const next = step({
      ...{ round: i + 1, params: current, aggregate: params(move), state },
      ...{ serverLearningRate, numUpdates: 2 },
    });
    current = next.params;
    state = next.state;
  }
  return current.get('w')!.data[0]!;
}

it('is PyTorch’s Nesterov on the negative movement', () => {
  // v: 1, 0.5·1 + 2 = 2.5, 0.5·2.5 − 1 = 0.25; w += 0.5 (Δ + 0.5 v): 0.75, + 1.625, + (−0.4375).
  expect(outer([1, 2, -1], 0.5, 0.5)).toBeCloseTo(0.75 + 1.625 - 0.4375, 6);
});

it('with μ = 0 and η = 1 the clients’ mean becomes the model', () => {
  expect(outer([0.25, 0.5], 0, 1)).toBe(0.75);
});
