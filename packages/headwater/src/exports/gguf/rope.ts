/**
 * Rotary positions in GGUF: which scalings llama.cpp computes, their keys, and the order of query and key rows that its
 * interleaved form wants.
 */

import type { GgufFacts, RowOrder } from './architecture.ts';
import { float32, uint32, unsupported } from './facts.ts';
import type { GgufValue } from './format.ts';

type Entry = readonly [string, GgufValue];

/** Rotary settings of config.json in either spelling: `rope_parameters`, or `rope_theta` beside `rope_scaling`. */
export interface RopeSettings {
  readonly type: string;
  readonly theta: number;
  /** Everything else by Hugging Face's key. */
  readonly given: Readonly<Record<string, unknown>>;
}

/** Hugging Face's default where config.json says nothing. */
const DEFAULT_THETA = 10_000;

export function ropeSettings({ config }: Pick<GgufFacts, 'config'>): RopeSettings {
  const given = (config.rope_parameters ?? config.rope_scaling ?? {}) as Record<string, unknown>;
  const theta = Number(given.rope_theta ?? config.rope_theta ?? DEFAULT_THETA);
  return { type: String(given.rope_type ?? given.type ?? 'default'), theta, given };
}

export interface RopeSupport {
  /** Dimensions of a head that turn. */
  readonly dimensions: number;
  /** Scalings that llama.cpp computes for the architecture; `default` always. */
  readonly scalings: readonly ('linear' | 'yarn' | 'llama3')[];
}

/** Throws MODEL_UNSUPPORTED for a scaling that llama.cpp lacks or computes otherwise. */
export function ropeMetadata(facts: GgufFacts, { dimensions, scalings }: RopeSupport): Entry[] {
  const settings = ropeSettings(facts);
  const { type, theta, given } = settings;
  const base: Entry[] = [
    ['rope.dimension_count', uint32(dimensions)],
    ['rope.freq_base', float32(theta)],
  ];
  if (type === 'default') return base;
  if (!(scalings as readonly string[]).includes(type))
    throw unsupported(facts, `llama.cpp has no rotary scaling "${type}" for this architecture`);
  // llama3's scaling is a tensor of factors, not a key.
  if (type === 'llama3') return base;
  return [
    ...base,
    ['rope.scaling.type', { type: 'string', value: type }],
    ['rope.scaling.factor', float32(Number(given.factor))],
    ...(type === 'yarn' ? yarnMetadata(facts, given) : []),
  ];
}

/** The temperature of attention is 0.1 · ln(factor) + 1 and betas are 32 and 1 in llama.cpp's files. */
function yarnMetadata(facts: GgufFacts, given: RopeSettings['given']): Entry[] {
  const odd = ['attention_factor', 'mscale', 'mscale_all_dim', 'truncate'].filter(
    (key) => given[key] !== undefined && given[key] !== null,
  );
  if (odd.length > 0)
    throw unsupported(facts, `yarn with ${odd.join(', ')} cannot be written as GGUF metadata`);
  const original = given.original_max_position_embeddings ?? facts.shape.maxPositionEmbeddings;
  return [
    ['rope.scaling.original_context_length', uint32(Number(original))],
    ['rope.scaling.yarn_beta_fast', float32(Number(given.beta_fast ?? 32))],
    ['rope.scaling.yarn_beta_slow', float32(Number(given.beta_slow ?? 1))],
  ];
}

/**
 * `rope_freqs.weight`: what llama3's scaling divides each of the Dh/2 frequencies θ^(−2i/Dh) by: 1 for waves shorter than
 * L/high, the factor for those longer than L/low, between them 1 / ((1−s)/factor + s), s = (L/λ − low)/(high − low).
 */
export function llama3Factors(facts: GgufFacts): Float32Array | undefined {
  const { type, theta, given } = ropeSettings(facts);
  if (type !== 'llama3') return undefined;
  const { headDim } = facts.shape;
  const [factor, low, high, context] = [
    given.factor,
    given.low_freq_factor,
    given.high_freq_factor,
    given.original_max_position_embeddings,
  ].map(Number) as [number, number, number, number];
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * i) / headDim);
    if (wavelength > context / low) return factor;
    if (wavelength < context / high) return 1;
    const smooth = (context / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/**
 * llama.cpp turns neighbours (0, 1), (2, 3) … of a head for some architectures, Hugging Face halves (0, Dh/2), (1, Dh/2 + 1)
 * …: row 2i + j of a head there is row i + j · Dh/2 here.
 */
export const interleavedRows: RowOrder = ({ shape }, numRows) => {
  const { headDim } = shape;
  return Int32Array.from({ length: numRows }, (_, row) => {
    const within = row % headDim;
    return row - within + (within >> 1) + (within & 1) * (headDim / 2);
  });
};
