/**
 * Stochastic gradient descent as PyTorch computes it (dampening 0, no Nesterov): weight decay is part of the gradient,
 * the first momentum is the gradient itself:
 *
 *     g ← g + λθ;  b ← μb + g;  θ ← θ − lr·b
 */

import type { Optimizer } from './optimizer.ts';

export const sgd: Optimizer = {
  id: 'sgd',
  summary: 'stochastic gradient descent with momentum',
  slots: ({ momentum }) => (momentum === 0 ? [] : ['momentum']),
  update: ({ values, gradient, slots, learningRate, options }) => {
    const { weightDecay, momentum } = options;
    const buffer = slots[0];
    for (let i = 0; i < values.length; i++) {
      let direction = gradient[i]! + weightDecay * values[i]!;
      if (buffer !== undefined) {
        direction += momentum * buffer[i]!;
        buffer[i] = direction;
      }
      values[i] = values[i]! - learningRate * direction;
    }
  },
};
