/**
 * AdamW (Loshchilov & Hutter 2019, algorithm 2) as PyTorch computes it: decay first, bias correction, ε outside the root:
 *
 *     θ ← θ (1 − lr·λ);  m ← β₁m + (1 − β₁)g;  v ← β₂v + (1 − β₂)g²
 *     θ ← θ − lr/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε)
 */

import type { Optimizer } from './optimizer.ts';

export const adamw: Optimizer = {
  id: 'adamw',
  summary: 'Adam with decoupled weight decay',
  slots: () => ['m', 'v'],
  update: ({ values, gradient, slots, step, learningRate, options }) => {
    const [m, v] = slots as [Float32Array, Float32Array];
    const { beta1, beta2, epsilon, weightDecay } = options;
    const decay = 1 - learningRate * weightDecay;
    const stepSize = learningRate / (1 - beta1 ** step);
    const rootCorrection = Math.sqrt(1 - beta2 ** step);
    for (let i = 0; i < values.length; i++) {
      const g = gradient[i]!;
      const mean = m[i]! + (g - m[i]!) * (1 - beta1);
      const square = v[i]! * beta2 + g * g * (1 - beta2);
      m[i] = mean;
      v[i] = square;
      values[i] = values[i]! * decay - (stepSize * mean) / (Math.sqrt(square) / rootCorrection + epsilon);
    }
  },
};
