/**
 * Reading config.json: what the decoders of the llama family have in common, and errors that name every offending key
 * at once. Keys are Hugging Face's; what an architecture does with them is in its own file.
 */

import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import { activation } from './blocks/activation.ts';
import { HARMLESS_KEYS } from './config-keys.ts';
import type { ModelShape } from './model.ts';
import { ropeObject, ropeObjectOf, rotaryFrom, rotatedShape } from './rope-config.ts';

export type RawConfig = Readonly<Record<string, unknown>>;

export const positiveInt = z.int().positive();
export const layerCount = positiveInt.max(10_000);

/** Only the value that Hugging Face's code treats as "off". */
export const off = z.literal(false).optional();

/** Of the first training. It changes no logit; fine-tuning with an adapter has the adapter's own dropout. */
export const dropout = z.number().min(0).max(1).optional();

/** What configurations of decoders say besides, and the only values that such a decoder can mean by it. */
export const commonKeys = {
  tie_word_embeddings: z.boolean().default(false),
  rope_interleaved: off,
  is_encoder_decoder: off,
  add_cross_attention: off,
  is_decoder: z.boolean().optional(),
  tie_encoder_decoder: off,
};

/** Sizes that every decoder has under these names. */
export const sizeKeys = {
  hidden_size: positiveInt,
  intermediate_size: positiveInt,
  num_hidden_layers: layerCount,
  num_attention_heads: positiveInt,
  num_key_value_heads: positiveInt.optional(),
  head_dim: positiveInt.optional(),
  vocab_size: positiveInt,
  max_position_embeddings: positiveInt,
};

/** Keys of every decoder with RMS norms, rotary positions and a gated MLP. */
export const decoderKeys = {
  ...commonKeys,
  ...sizeKeys,
  rms_norm_eps: z.number().positive().default(1e-6),
  hidden_act: activation.default('silu'),
  attention_dropout: z.literal(0).optional(),
  /** transformers 5. */
  rope_parameters: ropeObject.optional(),
  /** transformers 4. */
  rope_theta: z.number().positive().optional(),
  rope_scaling: ropeObject.optional(),
};

const decoderConfig = z.strictObject(decoderKeys);
export type DecoderConfig = z.infer<typeof decoderConfig>;

/**
 * Parses config.json by an architecture's schema. `null` means "not set", as in Hugging Face's files.
 * Throws MODEL_UNSUPPORTED for keys and values that Headwater cannot compute, MODEL_INVALID for missing or ill-typed ones.
 */
export function parseConfig<T>(schema: z.ZodType<T>, raw: RawConfig, causalClass: string, where: string): T {
  checkHead(raw.architectures, causalClass, where);
  const { model_type: _, architectures: __, ...rest } = raw;
  const relevant = Object.entries(rest).filter(([key, value]) => value !== null && !HARMLESS_KEYS.has(key));
  const result = schema.safeParse(Object.fromEntries(relevant));
  if (result.success) return result.data;
  const faults = result.error.issues.map((issue) => describe(issue, raw));
  const unsupported = faults.some((fault) => fault.unsupported);
  throw new HeadwaterError(
    unsupported ? 'MODEL_UNSUPPORTED' : 'MODEL_INVALID',
    faults.map((fault) => fault.text).join('; '),
    {
      where,
      hint: unsupported
        ? 'Choose a model without these settings: computing it anyway would give wrong results.'
        : 'Get the file again from where the model was published.',
    },
  );
}

function checkHead(architectures: unknown, causalClass: string, where: string): void {
  if (architectures === undefined || architectures === null) return;
  if (Array.isArray(architectures) && architectures.includes(causalClass)) return;
  throw new HeadwaterError(
    'MODEL_UNSUPPORTED',
    `architectures is ${show(architectures)}; supported: ["${causalClass}"]`,
    { where, hint: 'Only causal language models with their vocabulary head can be trained.' },
  );
}

interface Fault {
  readonly unsupported: boolean;
  readonly text: string;
}

function describe(issue: z.core.$ZodIssue, raw: RawConfig): Fault {
  if (issue.code === 'unrecognized_keys') {
    const prefix = issue.path.length === 0 ? '' : `${issue.path.join('.')}.`;
    const holder = valueAt(raw, issue.path) as RawConfig;
    const keys = issue.keys.map((key) => `${prefix}${key} (${show(holder[key])})`);
    return { unsupported: true, text: `not known for this architecture: ${keys.join(', ')}` };
  }
  const key = issue.path.join('.');
  const got = valueAt(raw, issue.path);
  if (issue.code === 'invalid_value')
    return { unsupported: true, text: `${key} is ${show(got)}; supported: ${issue.values.join(', ')}` };
  if (got === undefined || got === null) return { unsupported: false, text: `${key} is missing` };
  return { unsupported: false, text: `${key} is ${show(got)}: ${issue.message}` };
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown>)?.[key], root);
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

const sizes = z.strictObject(sizeKeys);

/** Sizes of a decoder; `num_key_value_heads` defaults to all heads, `head_dim` to hidden_size / num_attention_heads. */
export function shapeOf(config: z.infer<typeof sizes>, where: string): ModelShape {
  const numAttentionHeads = config.num_attention_heads;
  const numKeyValueHeads = config.num_key_value_heads ?? numAttentionHeads;
  const headDim = config.head_dim ?? config.hidden_size / numAttentionHeads;
  const invalid = (message: string) => new HeadwaterError('MODEL_INVALID', message, { where });
  if (!Number.isInteger(headDim))
    throw invalid(`hidden_size ${config.hidden_size} is no multiple of ${numAttentionHeads} heads`);
  if (numAttentionHeads % numKeyValueHeads !== 0)
    throw invalid(`${numAttentionHeads} heads cannot share ${numKeyValueHeads} key-value heads evenly`);
  return {
    hiddenSize: config.hidden_size,
    numHiddenLayers: config.num_hidden_layers,
    numAttentionHeads,
    numKeyValueHeads,
    headDim,
    vocabSize: config.vocab_size,
    numLogits: config.vocab_size,
    maxPositionEmbeddings: config.max_position_embeddings,
  };
}

/** Hugging Face's default where config.json says nothing. */
const DEFAULT_ROPE_THETA = 10_000;

/** What every decoder configuration says in the same keys; an architecture adds what is its own. */
export function decoderOf(config: DecoderConfig, where: string, defaultRopeTheta = DEFAULT_ROPE_THETA) {
  const shape = shapeOf(config, where);
  const rotary = rotaryFrom(ropeObjectOf(config), {
    where,
    ...{ headDim: shape.headDim, maxPositionEmbeddings: shape.maxPositionEmbeddings },
    ropeTheta: config.rope_theta ?? defaultRopeTheta,
  });
  return {
    shape: rotatedShape(shape, rotary),
    intermediateSize: config.intermediate_size,
    activation: config.hidden_act,
    rmsNormEpsilon: config.rms_norm_eps,
    rotary,
    tieWordEmbeddings: config.tie_word_embeddings,
  };
}

/** `layer_types` of a configuration. */
export const layerTypes = z.array(z.enum(['full_attention', 'sliding_attention']));

/** `full_attention` or `sliding_attention` for every layer → window of every layer. */
export function windowsOf(
  types: readonly string[],
  numHiddenLayers: number,
  window: number | undefined,
  where: string,
): (number | undefined)[] {
  if (types.length !== numHiddenLayers)
    throw new HeadwaterError(
      'MODEL_INVALID',
      `layer_types has ${types.length} entries for ${numHiddenLayers} layers`,
      { where },
    );
  if (window === undefined && types.includes('sliding_attention'))
    throw new HeadwaterError(
      'MODEL_INVALID',
      'layer_types has sliding_attention, but no sliding_window is in use',
      {
        where,
      },
    );
  return types.map((type) => (type === 'sliding_attention' ? window : undefined));
}
