/**
 * How rotary frequencies are stretched to contexts longer than those of the first training, as Hugging Face computes it.
 * Each kind is a function of the plain frequencies; tables and rotation are in `rotary.ts`.
 */

/** Interpolation by one factor (Chen et al. 2023, arXiv:2306.15595). */
export interface LinearScaling {
  readonly kind: 'linear';
  readonly factor: number;
}

export interface Llama3Scaling {
  readonly kind: 'llama3';
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  readonly originalMaxPositionEmbeddings: number;
}

/** YaRN (Peng et al. 2023, arXiv:2309.00071). */
export interface YarnScaling {
  readonly kind: 'yarn';
  readonly factor: number;
  readonly originalMaxPositionEmbeddings: number;
  /** Multiplies cos and sin, 0.1 ln(factor) + 1 unless the configuration says otherwise. */
  readonly attentionFactor: number;
  readonly betaFast: number;
  readonly betaSlow: number;
  /** Bounds of the ramp are rounded outwards to whole dimensions. */
  readonly truncate: boolean;
}

/** LongRoPE (Ding et al. 2024, arXiv:2402.13753): one divisor per dimension, others for sequences beyond the original context. */
export interface LongRopeScaling {
  readonly kind: 'longrope';
  readonly shortFactor: readonly number[];
  readonly longFactor: readonly number[];
  readonly originalMaxPositionEmbeddings: number;
  /** Multiplies cos and sin. */
  readonly attentionFactor: number;
}

export type RopeScaling = LinearScaling | Llama3Scaling | YarnScaling | LongRopeScaling;

export interface RotaryConfig {
  readonly ropeTheta: number;
  /** Leading dimensions of a head that are rotated; even. */
  readonly rotaryDim: number;
  readonly scaling?: RopeScaling;
}

/** Which of LongRoPE's divisors: a sequence within the original context, or a longer one. */
export type Reach = 'short' | 'long';

/** θ^(2i/d) for i < d/2, rounded to float32 at each step, because the checkpoints were trained with these bits. */
function periods({ ropeTheta, rotaryDim }: RotaryConfig): number[] {
  return Array.from({ length: rotaryDim / 2 }, (_, i) =>
    Math.fround(ropeTheta ** Math.fround((2 * i) / rotaryDim)),
  );
}

/** f_i = θ^(−2i/d), i < d/2, after scaling; float32. */
export function inverseFrequencies(config: RotaryConfig, reach: Reach = 'short'): Float32Array {
  const { scaling } = config;
  const plain = periods(config);
  if (scaling?.kind === 'longrope') {
    const divisors = reach === 'long' ? scaling.longFactor : scaling.shortFactor;
    return Float32Array.from(plain, (period, i) => 1 / Math.fround(Math.fround(divisors[i]!) * period));
  }
  const frequencies = Float32Array.from(plain, (period) => 1 / period);
  switch (scaling?.kind) {
    case undefined:
      return frequencies;
    case 'linear':
      return frequencies.map((f) => f / scaling.factor);
    case 'llama3':
      return frequencies.map((f) => llama3(f, scaling));
    case 'yarn':
      return yarn(plain, config, scaling);
  }
}

/** What cos and sin are multiplied by. */
export function attentionFactorOf({ scaling }: RotaryConfig): number {
  return scaling?.kind === 'yarn' || scaling?.kind === 'longrope' ? scaling.attentionFactor : 1;
}

/**
 * With wavelength λ = 2π/f: long waves (λ > L/low) are divided by the factor, short ones (λ < L/high) stay, between them
 * f·((1−s)/factor + s) with s = (L/λ − low)/(high − low), L the original context length.
 */
function llama3(frequency: number, scaling: Llama3Scaling): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings: context } = scaling;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength > context / lowFreqFactor) return frequency / factor;
  if (wavelength < context / highFreqFactor) return frequency;
  const smooth = (context / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/**
 * f_i·(r_i/factor + 1 − r_i) with the ramp r_i = clamp((i − low)/(high − low), 0, 1); low and high are the dimensions that
 * turn betaFast and betaSlow times within the original context.
 */
function yarn(
  plain: readonly number[],
  { ropeTheta, rotaryDim }: RotaryConfig,
  { factor, betaFast, betaSlow, originalMaxPositionEmbeddings, truncate }: YarnScaling,
): Float32Array {
  const dimensionOf = (turns: number) =>
    (rotaryDim * Math.log(originalMaxPositionEmbeddings / (turns * 2 * Math.PI))) / (2 * Math.log(ropeTheta));
  const [fast, slow] = [dimensionOf(betaFast), dimensionOf(betaSlow)];
  const low = Math.max(truncate ? Math.floor(fast) : fast, 0);
  const high = Math.min(truncate ? Math.ceil(slow) : slow, rotaryDim - 1);
  const width = high === low ? 0.001 : high - low;
  return Float32Array.from(plain, (period, i) => {
    const ramp = Math.min(1, Math.max(0, (i - low) / width));
    return ramp / (factor * period) + (1 - ramp) / period;
  });
}
