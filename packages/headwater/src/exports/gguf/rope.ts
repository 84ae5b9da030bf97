/**
 * Rotary positions in GGUF: which scalings llama.cpp computes, their keys and tensors, and the order of query and key rows
 * that its interleaved form wants.
 */

import { inverseFrequencies, type RotaryConfig } from '../../models/blocks/rope-scaling.ts';
import { type RopeContext, type RopeObject, ropeObjectOf, rotaryFrom } from '../../models/rope-config.ts';
import type { ExtraTensor, GgufFacts, RowOrder } from './architecture.ts';
import { float32, numberOf, uint32, unsupported } from './facts.ts';
import type { GgufValue } from './format.ts';

type Entry = readonly [string, GgufValue];
type Scaling = NonNullable<RotaryConfig['scaling']>['kind'];

/** Hugging Face's default where config.json says nothing. */
const DEFAULT_THETA = 10_000;

/** Rotary settings in either spelling, with what the architecture takes where config.json is silent. */
export function rotaryOf(facts: GgufFacts, defaults: Partial<RopeContext> = {}): RotaryConfig {
  const { config, shape, where } = facts;
  // The model was opened with this configuration: what does not parse is not here.
  const given = ropeObjectOf({
    rope_scaling: withoutNulls(config.rope_scaling),
    rope_parameters: withoutNulls(config.rope_parameters),
  });
  return rotaryFrom(given, {
    ...{ where, headDim: shape.headDim, ropeTheta: numberOf(facts, 'rope_theta', DEFAULT_THETA) },
    maxPositionEmbeddings: numberOf(facts, 'max_position_embeddings', shape.maxPositionEmbeddings),
    ...defaults,
  });
}

function withoutNulls(value: unknown): RopeObject | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== null)) as RopeObject;
}

/** `computed`: scalings that llama.cpp computes for the architecture. Throws MODEL_UNSUPPORTED for any other. */
export function ropeMetadata(facts: GgufFacts, rotary: RotaryConfig, computed: readonly Scaling[]): Entry[] {
  const { scaling, rotaryDim, ropeTheta } = rotary;
  const base: Entry[] = [
    ['rope.dimension_count', uint32(rotaryDim)],
    ['rope.freq_base', float32(ropeTheta)],
  ];
  if (scaling === undefined) return base;
  if (!computed.includes(scaling.kind))
    throw unsupported(facts, `llama.cpp has no rotary scaling "${scaling.kind}" for this architecture`);
  const type = (value: string): Entry => ['rope.scaling.type', { type: 'string', value }];
  switch (scaling.kind) {
    // A tensor of divisors, not a key.
    case 'llama3':
      return base;
    case 'linear':
      return [...base, type('linear'), ['rope.scaling.factor', float32(scaling.factor)]];
    case 'longrope':
      return [
        ...base,
        type('longrope'),
        ['rope.scaling.attn_factor', float32(scaling.attentionFactor)],
        ['rope.scaling.original_context_length', uint32(scaling.originalMaxPositionEmbeddings)],
      ];
    case 'yarn':
      checkYarn(facts, scaling);
      return [
        ...base,
        type('yarn'),
        ['rope.scaling.factor', float32(scaling.factor)],
        ['rope.scaling.original_context_length', uint32(scaling.originalMaxPositionEmbeddings)],
        ['rope.scaling.yarn_beta_fast', float32(scaling.betaFast)],
        ['rope.scaling.yarn_beta_slow', float32(scaling.betaSlow)],
      ];
  }
}

/** llama.cpp multiplies cos and sin by 0.1 · ln(factor) + 1 and rounds the ramp to whole dimensions. */
function checkYarn(facts: GgufFacts, scaling: Extract<RotaryConfig['scaling'], { kind: 'yarn' }>): void {
  const usual = scaling.factor <= 1 ? 1 : 0.1 * Math.log(scaling.factor) + 1;
  if (Math.abs(scaling.attentionFactor - usual) > 1e-6 || !scaling.truncate)
    throw unsupported(
      facts,
      `yarn with attention factor ${scaling.attentionFactor}${scaling.truncate ? '' : ' without truncate'}; llama.cpp has ${usual} with truncate`,
    );
}

/** `rope_freqs.weight`: what llama3's scaling divides each plain frequency by. */
export function ropeTensors({ scaling, ...plain }: RotaryConfig): ExtraTensor[] {
  if (scaling?.kind === 'llama3') {
    const scaled = inverseFrequencies({ ...plain, scaling });
    const values = inverseFrequencies(plain).map((frequency, i) => frequency / (scaled[i] as number));
    return [{ name: 'rope_freqs.weight', values }];
  }
  if (scaling?.kind === 'longrope')
    return [
      { name: 'rope_factors_long.weight', values: Float32Array.from(scaling.longFactor) },
      { name: 'rope_factors_short.weight', values: Float32Array.from(scaling.shortFactor) },
    ];
  return [];
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
