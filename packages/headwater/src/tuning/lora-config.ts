/**
 * Options of LoRA and DoRA and their form in PEFT's `adapter_config.json` (PEFT 0.21 fields). Knows the fields, no tensors.
 */

import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import type { ModelLayout } from './kind.ts';
import {
  emptyToUndefined,
  type KnownSettings,
  parsedOptions,
  refuseUnread,
  taskType,
} from './peft-config.ts';
import { modulesToSaveOption } from './saved-modules.ts';

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
  bias: z
    .enum(['none', 'all', 'lora_only'])
    .default('none')
    .describe('Biases that are trained too: all of the model, or those of the targets (lora_only).'),
  modulesToSave: modulesToSaveOption,
});

export type LoraOptions = z.infer<typeof loraOptions>;

/** What PEFT writes for settings that we leave alone; one of these values, or nothing, is what we accept when reading. */
const UNUSED: Readonly<Record<string, unknown>> = {
  alora_invocation_tokens: null,
  arrow_config: null,
  auto_mapping: null,
  corda_config: null,
  ensure_weight_tying: false,
  eva_config: null,
  kasa_config: null,
  layer_replication: null,
  loftq_config: {},
  lora_bias: false,
  lora_ga_config: null,
  megatron_config: null,
  megatron_core: 'megatron.core',
  monteclora_config: null,
  qalora_group_size: 16,
  target_parameters: null,
  trainable_token_indices: null,
  use_bdlora: null,
  use_qalora: false,
  velora_config: null,
};

const SETTINGS: KnownSettings = {
  read: new Set([
    'r',
    'lora_alpha',
    'use_rslora',
    'use_dora',
    'lora_dropout',
    'target_modules',
    'exclude_modules',
    'layers_to_transform',
    'layers_pattern',
    'rank_pattern',
    'alpha_pattern',
    'init_lora_weights',
    'bias',
    'modules_to_save',
  ]),
  harmless: new Set([
    'corda_config',
    'ensure_weight_tying',
    'eva_config',
    // How the base stores its matrices, which PEFT corrects by itself.
    'fan_in_fan_out',
    'lora_ga_config',
    'megatron_core',
    'qalora_group_size',
    'runtime_config',
  ]),
  unused: UNUSED,
  computed: 'LoRA and DoRA (rank, alpha, rsLoRA, patterns, biases, modules to save)',
};

/** What a configuration says beyond the options, known once they are bound to a model. */
export interface WrittenFacts {
  readonly layout: ModelLayout;
  /** For target_modules (a shorthand may be spelled out). */
  readonly targets: string | readonly string[];
  readonly modulesToSave: readonly string[];
  readonly useDora: boolean;
}

export function toPeftConfig(options: LoraOptions, facts: WrittenFacts): Record<string, unknown> {
  const { layout, targets, modulesToSave, useDora } = facts;
  return {
    ...UNUSED,
    alpha_pattern: options.alphaPattern,
    bias: options.bias,
    exclude_modules: options.excludeModules ?? null,
    fan_in_fan_out: layout.linears.some(({ stored }) => stored === 'in-out'),
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: options.layersPattern ?? null,
    layers_to_transform: options.layersToTransform ?? null,
    lora_alpha: options.alpha,
    lora_dropout: options.dropout,
    modules_to_save: modulesToSave.length === 0 ? null : modulesToSave,
    peft_type: 'LORA',
    peft_version: '0.21.0',
    r: options.rank,
    rank_pattern: options.rankPattern,
    revision: null,
    target_modules: targets,
    task_type: taskType(layout),
    use_dora: useDora,
    use_rslora: options.useRslora,
  };
}

/** Options from a LORA configuration. Throws ADAPTER_INVALID on settings that we do not compute. */
export function fromPeftConfig(config: Record<string, unknown>): LoraOptions {
  refuseUnread(config, SETTINGS);
  refuseChangedBase(config.init_lora_weights);
  if (config.target_modules === undefined || config.target_modules === null)
    throw new HeadwaterError('ADAPTER_INVALID', 'adapter_config.json names no target_modules');
  return parsedOptions(loraOptions, {
    rank: config.r,
    alpha: config.lora_alpha,
    useRslora: config.use_rslora,
    dropout: config.lora_dropout,
    targetModules: config.target_modules,
    excludeModules: emptyToUndefined(config.exclude_modules),
    layersToTransform: emptyToUndefined(config.layers_to_transform),
    layersPattern: emptyToUndefined(config.layers_pattern),
    rankPattern: config.rank_pattern,
    alphaPattern: config.alpha_pattern,
    bias: config.bias,
    modulesToSave: emptyToUndefined(config.modules_to_save),
  });
}

/** pissa, olora, corda, loftq and lora_ga change the base weights when the adapter is attached. */
function refuseChangedBase(init: unknown): void {
  if (typeof init !== 'string' || ['gaussian', 'eva', 'orthogonal'].includes(init)) return;
  throw new HeadwaterError('ADAPTER_INVALID', `adapter_config.json asks for init_lora_weights = "${init}"`, {
    hint: 'It was trained against changed base weights. Convert it to plain LoRA with PEFT first.',
  });
}
