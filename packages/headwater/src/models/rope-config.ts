/**
 * Rotary settings of config.json in both spellings: `rope_parameters` of transformers 5, and `rope_theta` beside
 * `rope_scaling` of transformers 4. What a setting computes is in `blocks/rope-scaling.ts`.
 */

import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import type { RopeScaling, RotaryConfig } from './blocks/rope-scaling.ts';
import type { ModelShape } from './model.ts';

const positiveInt = z.int().positive();
const divisors = z.array(z.number().positive()).min(1);

/** What each kind needs and may have besides; anything else beside it is refused. */
const KINDS = {
  default: { needs: [], may: [] },
  linear: { needs: ['factor'], may: [] },
  dynamic: { needs: ['factor'], may: [] },
  llama3: {
    needs: ['factor', 'low_freq_factor', 'high_freq_factor'],
    may: ['original_max_position_embeddings'],
  },
  yarn: {
    needs: ['factor'],
    may: [
      'original_max_position_embeddings',
      'attention_factor',
      'beta_fast',
      'beta_slow',
      'mscale',
      'mscale_all_dim',
      'truncate',
    ],
  },
  longrope: {
    needs: ['short_factor', 'long_factor'],
    may: ['original_max_position_embeddings', 'attention_factor', 'factor'],
  },
} as const;

type Kind = keyof typeof KINDS;
const KIND_NAMES = Object.keys(KINDS) as [Kind, ...Kind[]];

/** `partial`: what the architecture computes of partial_rotary_factor. `aliases`: its own names of longrope. */
function ropeObjectWith<P extends z.ZodType>(partial: P) {
  return z.preprocess(
    withoutNulls,
    z.strictObject({
      rope_type: z.enum(KIND_NAMES).optional(),
      /** Older spelling of rope_type. */
      type: z.enum(KIND_NAMES).optional(),
      rope_theta: z.number().positive().optional(),
      partial_rotary_factor: partial,
      factor: z.number().min(1).optional(),
      low_freq_factor: z.number().positive().optional(),
      high_freq_factor: z.number().positive().optional(),
      original_max_position_embeddings: positiveInt.optional(),
      attention_factor: z.number().nonnegative().optional(),
      beta_fast: z.number().positive().optional(),
      beta_slow: z.number().positive().optional(),
      mscale: z.number().optional(),
      mscale_all_dim: z.number().optional(),
      truncate: z.boolean().optional(),
      short_factor: divisors.optional(),
      long_factor: divisors.optional(),
    }),
  );
}

/** Of architectures that rotate whole heads, as transformers does whatever the key says. */
export const ropeObject = ropeObjectWith(z.literal(1).optional());
export const partialRopeObject = ropeObjectWith(z.number().positive().max(1).optional());
export type RopeObject = z.infer<typeof partialRopeObject>;

function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== null));
}

export interface RopeContext {
  /** config.json, for messages. */
  readonly where: string;
  readonly headDim: number;
  readonly maxPositionEmbeddings: number;
  /** Where the object does not say it. */
  readonly ropeTheta: number;
  readonly partialRotaryFactor?: number;
  /** Said beside the object, and before it (phi3). */
  readonly originalMaxPositionEmbeddings?: number;
}

/** The object in use and its key; `rope_scaling` goes first, as in transformers. */
export function ropeObjectOf(config: {
  readonly rope_scaling?: RopeObject | undefined;
  readonly rope_parameters?: RopeObject | undefined;
}): { readonly rope: RopeObject; readonly key: string } {
  const { rope_scaling, rope_parameters } = config;
  if (rope_scaling !== undefined && Object.keys(rope_scaling).length > 0)
    return { rope: rope_scaling, key: 'rope_scaling' };
  return { rope: rope_parameters ?? {}, key: 'rope_parameters' };
}

/** Throws MODEL_UNSUPPORTED for keys that the kind does not know, MODEL_INVALID for missing ones. */
export function rotaryFrom(
  { rope, key }: { readonly rope: RopeObject; readonly key: string },
  context: RopeContext,
): RotaryConfig {
  const { where, headDim } = context;
  const kind = rope.rope_type ?? rope.type ?? 'default';
  checkKeys(rope, kind, key, where);
  const rotaryDim = Math.trunc(headDim * (rope.partial_rotary_factor ?? context.partialRotaryFactor ?? 1));
  if (rotaryDim % 2 !== 0 || rotaryDim === 0)
    throw new HeadwaterError(
      'MODEL_INVALID',
      `${rotaryDim} rotated dimensions of head_dim ${headDim}; rotary embeddings need pairs`,
      { where },
    );
  const scaling = scalingOf(rope, kind, rotaryDim, key, context);
  const ropeTheta = rope.rope_theta ?? context.ropeTheta;
  return { ropeTheta, rotaryDim, ...(scaling === undefined ? {} : { scaling }) };
}

function checkKeys(rope: RopeObject, kind: Kind, key: string, where: string): void {
  const { needs, may }: { needs: readonly string[]; may: readonly string[] } = KINDS[kind];
  const common = ['rope_type', 'type', 'rope_theta', 'partial_rotary_factor'];
  const list = (names: readonly string[]) => names.map((name) => `${key}.${name}`).join(', ');
  const strange = Object.keys(rope).filter((name) => ![...common, ...needs, ...may].includes(name));
  if (strange.length > 0)
    throw new HeadwaterError('MODEL_UNSUPPORTED', `${list(strange)} given for rope_type "${kind}"`, {
      where,
    });
  const missing = needs.filter((name) => !(name in rope));
  if (missing.length > 0)
    throw new HeadwaterError('MODEL_INVALID', `rope_type "${kind}" needs ${list(missing)}`, { where });
}

function scalingOf(
  rope: RopeObject,
  kind: Kind,
  rotaryDim: number,
  key: string,
  context: RopeContext,
): RopeScaling | undefined {
  const originalMaxPositionEmbeddings =
    context.originalMaxPositionEmbeddings ??
    rope.original_max_position_embeddings ??
    context.maxPositionEmbeddings;
  const original = { originalMaxPositionEmbeddings };
  const factor = rope.factor ?? 1;
  switch (kind) {
    case 'default':
      return undefined;
    // Up to max_position_embeddings, beyond which nothing is computed here, dynamic scaling changes nothing.
    case 'dynamic':
      return undefined;
    case 'linear':
      return { kind, factor };
    case 'llama3':
      return {
        ...{ kind, factor, ...original },
        ...{ lowFreqFactor: rope.low_freq_factor!, highFreqFactor: rope.high_freq_factor! },
      };
    case 'yarn':
      return {
        ...{ kind, factor, ...original, attentionFactor: rope.attention_factor ?? yarnAttention(rope) },
        ...{ betaFast: rope.beta_fast ?? 32, betaSlow: rope.beta_slow ?? 1 },
        truncate: rope.truncate ?? true,
      };
    case 'longrope':
      return longRope(rope, rotaryDim, key, { ...context, originalMaxPositionEmbeddings });
  }
}

/** 0.1 m ln(factor) + 1, or the ratio of two of them when both m are given. */
function yarnAttention({ factor = 1, mscale = 0, mscale_all_dim = 0 }: RopeObject): number {
  const of = (m: number) => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1);
  return mscale !== 0 && mscale_all_dim !== 0 ? of(mscale) / of(mscale_all_dim) : of(1);
}

function longRope(
  rope: RopeObject,
  rotaryDim: number,
  key: string,
  context: RopeContext & { readonly originalMaxPositionEmbeddings: number },
): RopeScaling {
  const { originalMaxPositionEmbeddings, maxPositionEmbeddings, where } = context;
  for (const name of ['short_factor', 'long_factor'] as const)
    if (rope[name]!.length !== rotaryDim / 2)
      throw new HeadwaterError(
        'MODEL_INVALID',
        `${key}.${name} has ${rope[name]!.length} entries for ${rotaryDim / 2} rotated pairs`,
        { where },
      );
  const factor = rope.factor ?? maxPositionEmbeddings / originalMaxPositionEmbeddings;
  const suggested =
    factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalMaxPositionEmbeddings));
  return {
    kind: 'longrope',
    ...{ shortFactor: rope.short_factor!, longFactor: rope.long_factor!, originalMaxPositionEmbeddings },
    attentionFactor: rope.attention_factor ?? suggested,
  };
}

/** Sizes of a model with these rotations: how far they reach, and where they change. */
export function rotatedShape(shape: ModelShape, { scaling }: RotaryConfig): ModelShape {
  const { maxPositionEmbeddings } = shape;
  // Interpolation by a factor reaches that much further than the first training did.
  const original = scaling?.kind === 'yarn' ? scaling.originalMaxPositionEmbeddings : maxPositionEmbeddings;
  const reach =
    scaling?.kind === 'linear' || scaling?.kind === 'yarn' ? Math.floor(scaling.factor * original) : 0;
  const changes =
    scaling?.kind === 'longrope' && scaling.originalMaxPositionEmbeddings < maxPositionEmbeddings;
  return {
    ...shape,
    maxPositionEmbeddings: Math.max(maxPositionEmbeddings, reach),
    ...(changes ? { longContextAbove: scaling.originalMaxPositionEmbeddings } : {}),
  };
}
