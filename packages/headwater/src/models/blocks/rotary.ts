/**
 * Rotary position embeddings (Su et al. 2021, arXiv:2104.09864) as Hugging Face computes them: frequencies, their
 * llama3 scaling, and the tables of a graph. The rotation itself is an op of the graph.
 */

import { tensor } from '../../base/tensor.ts';
import type { Value } from '../../graph/ir.ts';
import { gather, reshape } from '../../graph/ops/index.ts';

interface Llama3Scaling {
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  readonly originalMaxPositionEmbeddings: number;
}

export interface RotaryConfig {
  readonly ropeTheta: number;
  readonly llama3?: Llama3Scaling;
}

/**
 * f_i = θ^(−2i/Dh), i < Dh/2. With llama3 scaling and wavelength λ = 2π/f: long waves (λ > L/low) are divided by the
 * factor, short ones (λ < L/high) stay, between them f·((1−s)/factor + s) with s = (L/λ − low)/(high − low), L the
 * original context length. Rounded to float32 at each step, because the checkpoints were trained with these bits.
 */
export function inverseFrequencies({ ropeTheta, llama3 }: RotaryConfig, headDim: number): Float32Array {
  const frequencies = Float32Array.from({ length: headDim / 2 }, (_, i) =>
    Math.fround(1 / Math.fround(ropeTheta ** Math.fround((2 * i) / headDim))),
  );
  return llama3 === undefined ? frequencies : frequencies.map((f) => scaleLlama3(f, llama3));
}

function scaleLlama3(frequency: number, scaling: Llama3Scaling): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings: context } = scaling;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength > context / lowFreqFactor) return frequency / factor;
  if (wavelength < context / highFreqFactor) return frequency;
  const smooth = (context / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/** cos and sin of position · frequency for positions 0 … rows − 1, each [rows, Dh/2]. */
export function rotaryTables(config: RotaryConfig, headDim: number, rows: number) {
  const frequencies = inverseFrequencies(config, headDim);
  const half = frequencies.length;
  const cos = new Float32Array(rows * half);
  const sin = new Float32Array(rows * half);
  for (let position = 0; position < rows; position++)
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * (frequencies[i] as number));
      cos[position * half + i] = Math.cos(angle);
      sin[position * half + i] = Math.sin(angle);
    }
  return { cos: tensor('float32', [rows, half], cos), sin: tensor('float32', [rows, half], sin) };
}

/** cos and sin of every row, [N, Dh/2]; made once per graph and shared by its layers. */
export interface Rotation {
  readonly cos: Value;
  readonly sin: Value;
}

/** Reads the rows of the tables at `positions` (int32 [B, T]). */
export function rotationAt(
  positions: Value,
  config: RotaryConfig,
  headDim: number,
  maxPositions: number,
): Rotation {
  const tables = rotaryTables(config, headDim, maxPositions);
  const [batch, length] = positions.shape as [number, number];
  const rows = reshape(positions, [batch * length]);
  const { graph } = positions;
  return {
    cos: gather(graph.constant(tables.cos), rows, 0),
    sin: gather(graph.constant(tables.sin), rows, 0),
  };
}
