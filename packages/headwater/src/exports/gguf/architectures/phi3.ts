/** phi3 in GGUF: fused projections as they are, LongRoPE as two tensors of divisors. */

import type { GgufArchitecture, GgufFacts } from '../architecture.ts';
import { llamaFamilyMetadata } from '../decoder-metadata.ts';
import { numberOf } from '../facts.ts';
import { ropeMetadata, ropeTensors, rotaryOf } from '../rope.ts';
import { EMBEDDINGS, PRE_NORMS } from '../tensor-rules.ts';

const DEFAULT_ORIGINAL_CONTEXT = 4096;

export const phi3: GgufArchitecture = {
  id: 'phi3',
  ggufId: 'phi3',
  tensors: [
    ...EMBEDDINGS,
    ...PRE_NORMS,
    { from: 'model.layers.{}.self_attn.qkv_proj', to: 'blk.{}.attn_qkv' },
    { from: 'model.layers.{}.self_attn.o_proj', to: 'blk.{}.attn_output' },
    { from: 'model.layers.{}.mlp.gate_up_proj', to: 'blk.{}.ffn_up' },
    { from: 'model.layers.{}.mlp.down_proj', to: 'blk.{}.ffn_down' },
  ],
  metadata(facts) {
    const rotary = phi3Rotary(facts);
    const { scaling } = rotary;
    // llama.cpp takes the long divisors for every sequence as soon as its context is longer than the original one.
    const original = scaling?.kind === 'longrope' ? { longest: scaling.originalMaxPositionEmbeddings } : {};
    return [
      ...llamaFamilyMetadata(facts, { epsilon: 1e-5, ...original }),
      ...ropeMetadata(facts, rotary, ['longrope']),
    ];
  },
  extraTensors: (facts) => ropeTensors(phi3Rotary(facts)),
};

function phi3Rotary(facts: GgufFacts): ReturnType<typeof rotaryOf> {
  const { config } = facts;
  const renamed = { ...facts, config: { ...config, rope_scaling: longRopeNamed(config.rope_scaling) } };
  return rotaryOf(renamed, {
    partialRotaryFactor: numberOf(facts, 'partial_rotary_factor', 1),
    originalMaxPositionEmbeddings: numberOf(
      facts,
      'original_max_position_embeddings',
      DEFAULT_ORIGINAL_CONTEXT,
    ),
  });
}

/** Earlier files of the family say `su` or `yarn` and mean LongRoPE. */
function longRopeNamed(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { type, rope_type, ...rest } = value as Record<string, unknown>;
  const name = String(rope_type ?? type);
  return { ...rest, rope_type: name === 'su' || name === 'yarn' ? 'longrope' : name };
}
