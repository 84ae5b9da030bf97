/**
 * LoRA's options and their form in PEFT's `adapter_config.json` (PEFT 0.21 fields). Settings that change the result and
 * that we do not compute are refused by name, never ignored.
 */

import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';

const names = z.array(z.string().min(1)).min(1);
const positiveInt = z.int().positive();
const layer = z.int().nonnegative();

export const loraOptions = z.strictObject({
  rank: positiveInt.default(8),
  /** The update is scaled by alpha / rank (alpha / √rank with useRslora). */
  alpha: z.number().positive().default(8),
  useRslora: z.boolean().default(false),
  dropout: z.number().min(0).lt(1).default(0),
  /** Module names or suffixes, `all-linear`, or one regular expression over the whole name. */
  targetModules: z.union([z.string().min(1), names]).default('all-linear'),
  excludeModules: z.union([z.string().min(1), names]).optional(),
  layersToTransform: z.union([layer, z.array(layer).min(1)]).optional(),
  layersPattern: z.union([z.string().min(1), names]).optional(),
  rankPattern: z.record(z.string(), positiveInt).default({}),
  alphaPattern: z.record(z.string(), z.number().positive()).default({}),
});

export type LoraOptions = z.infer<typeof loraOptions>;

/** What PEFT writes for settings that we leave alone; one of these values, or nothing, is what we accept when reading. */
const UNUSED: Readonly<Record<string, unknown>> = {
  alora_invocation_tokens: null,
  arrow_config: null,
  auto_mapping: null,
  bias: 'none',
  corda_config: null,
  ensure_weight_tying: false,
  eva_config: null,
  fan_in_fan_out: false,
  kasa_config: null,
  layer_replication: null,
  loftq_config: {},
  lora_bias: false,
  lora_ga_config: null,
  megatron_config: null,
  megatron_core: 'megatron.core',
  modules_to_save: null,
  monteclora_config: null,
  qalora_group_size: 16,
  target_parameters: null,
  trainable_token_indices: null,
  use_bdlora: null,
  use_dora: false,
  use_qalora: false,
  velora_config: null,
};

/** Settings that say how an adapter was made or stored and change nothing in what it computes. */
const HARMLESS = new Set([
  'auto_mapping',
  'base_model_name_or_path',
  'corda_config',
  'ensure_weight_tying',
  'eva_config',
  'inference_mode',
  'lora_ga_config',
  'megatron_core',
  'peft_type',
  'peft_version',
  'qalora_group_size',
  'revision',
  'runtime_config',
  'task_type',
]);

const READ = new Set([
  'r',
  'lora_alpha',
  'use_rslora',
  'lora_dropout',
  'target_modules',
  'exclude_modules',
  'layers_to_transform',
  'layers_pattern',
  'rank_pattern',
  'alpha_pattern',
  'init_lora_weights',
]);

/** `targets`: what to write for targetModules (a shorthand may be spelled out). */
export function toPeftConfig(
  options: LoraOptions,
  targets: string | readonly string[],
): Record<string, unknown> {
  return {
    ...UNUSED,
    alpha_pattern: options.alphaPattern,
    exclude_modules: options.excludeModules ?? null,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: options.layersPattern ?? null,
    layers_to_transform: options.layersToTransform ?? null,
    lora_alpha: options.alpha,
    lora_dropout: options.dropout,
    peft_type: 'LORA',
    peft_version: '0.21.0',
    r: options.rank,
    rank_pattern: options.rankPattern,
    revision: null,
    target_modules: targets,
    task_type: 'CAUSAL_LM',
    use_rslora: options.useRslora,
  };
}

/** Options from a LORA configuration. Throws ADAPTER_INVALID on settings that we do not compute. */
export function fromPeftConfig(config: Record<string, unknown>): LoraOptions {
  refuseUnsupported(config);
  const parsed = loraOptions.safeParse(
    withoutUndefined({
      rank: config.r ?? undefined,
      alpha: config.lora_alpha ?? undefined,
      useRslora: config.use_rslora ?? undefined,
      dropout: config.lora_dropout ?? undefined,
      targetModules: config.target_modules ?? undefined,
      excludeModules: emptyToUndefined(config.exclude_modules),
      layersToTransform: emptyToUndefined(config.layers_to_transform),
      layersPattern: emptyToUndefined(config.layers_pattern),
      rankPattern: config.rank_pattern ?? undefined,
      alphaPattern: config.alpha_pattern ?? undefined,
    }),
  );
  if (parsed.success) {
    if (config.target_modules === undefined || config.target_modules === null)
      throw new HeadwaterError('ADAPTER_INVALID', 'adapter_config.json names no target_modules');
    return parsed.data;
  }
  const issue = parsed.error.issues[0];
  throw new HeadwaterError(
    'ADAPTER_INVALID',
    `adapter_config.json: ${issue?.path.join('.') ?? 'options'}: ${issue?.message ?? 'wrong value'}`,
  );
}

function refuseUnsupported(config: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(config)) {
    if (READ.has(key) || HARMLESS.has(key) || isNothing(value) || sameJson(value, UNUSED[key])) continue;
    throw new HeadwaterError(
      'ADAPTER_INVALID',
      `adapter_config.json asks for ${key} = ${JSON.stringify(value)}`,
      {
        hint: 'Headwater computes plain LoRA (rank, alpha, rsLoRA, patterns); this setting would change the result.',
      },
    );
  }
  const init = config.init_lora_weights;
  // pissa, olora, corda, loftq and lora_ga change the base weights when the adapter is attached.
  if (typeof init === 'string' && !['gaussian', 'eva', 'orthogonal'].includes(init))
    throw new HeadwaterError(
      'ADAPTER_INVALID',
      `adapter_config.json asks for init_lora_weights = "${init}"`,
      {
        hint: 'It was trained against changed base weights. Convert it to plain LoRA with PEFT first.',
      },
    );
  const task = config.task_type;
  if (task !== undefined && task !== null && task !== 'CAUSAL_LM')
    throw new HeadwaterError(
      'ADAPTER_INVALID',
      `adapter_config.json is for task_type ${JSON.stringify(task)}`,
      {
        hint: 'Only adapters of causal language models (CAUSAL_LM) are supported.',
      },
    );
}

function isNothing(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function emptyToUndefined(value: unknown): unknown {
  return value === null || value === '' || (Array.isArray(value) && value.length === 0) ? undefined : value;
}

function withoutUndefined(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
}
