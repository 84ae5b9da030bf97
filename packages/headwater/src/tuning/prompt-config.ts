/**
 * `adapter_config.json` of PEFT's prompt learning kinds (0.21): the settings that they share, the sizes that must be this
 * model's, and the classification head that PEFT saves beside a prompt. Knows no kind.
 */

import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import type { BoundTuning, ModelLayout } from './kind.ts';
import { refuseUnread, taskType } from './peft-config.ts';
import { savedModules } from './saved-modules.ts';
import { alsoTraining } from './trained-parameters.ts';

type Config = Readonly<Record<string, unknown>>;

/** The one tensor of a prompt in an adapter file, [P, width]. */
export const PROMPT_EMBEDDINGS = 'prompt_embeddings';
/** Trained tensors that the file does not hold as they are have PEFT's parameter names. */
export const ENCODER = 'prompt_encoder';

export const numVirtualTokensOption = z
  .int()
  .positive()
  .default(20)
  .describe('Trained positions before every sequence; data.maxLength does not count them.');

/** `token_dim` and `num_attention_heads`: what one virtual position is, D and H, or K · Dh and K for a prefix. */
export interface PromptSizes {
  readonly tokenDim: number;
  readonly numAttentionHeads: number;
}

/** Throws OPTION_INVALID where no position would be left for text. */
export function checkCount(count: number, { shape }: ModelLayout): void {
  if (count < shape.maxPositionEmbeddings) return;
  throw new HeadwaterError(
    'OPTION_INVALID',
    `numVirtualTokens is ${count}, but the model has ${shape.maxPositionEmbeddings} positions in all`,
    { hint: 'Prompts have 5 to 100 virtual tokens; they and the text share the positions.' },
  );
}

export function promptConfig(
  peftType: string,
  count: number,
  sizes: PromptSizes,
  layout: ModelLayout,
): Record<string, unknown> {
  const { headModules } = layout;
  return {
    auto_mapping: null,
    inference_mode: true,
    modules_to_save: headModules.length === 0 ? null : ['classifier', 'score'],
    num_attention_heads: sizes.numAttentionHeads,
    num_layers: layout.shape.numHiddenLayers,
    num_transformer_submodules: 1,
    num_virtual_tokens: count,
    peft_type: peftType,
    peft_version: '0.21.0',
    revision: null,
    task_type: taskType(layout),
    token_dim: sizes.tokenDim,
  };
}

const SHARED = [
  'num_attention_heads',
  'num_layers',
  'num_transformer_submodules',
  'num_virtual_tokens',
  'token_dim',
];

/** Throws ADAPTER_INVALID on settings that are neither shared nor among `read` and `harmless`. */
export function refuseUnreadPrompt(
  config: Config,
  { read = [], harmless = [] }: { readonly read?: readonly string[]; readonly harmless?: readonly string[] },
): void {
  refuseUnread(config, {
    read: new Set([...SHARED, 'modules_to_save', ...read]),
    harmless: new Set(harmless),
    unused: {},
    computed: 'prompts of decoders and encoders as PEFT 0.21 does',
  });
}

/** A prompt has the sizes of its model written beside it. Throws ADAPTER_INVALID where they are not this model's. */
export function checkModelOf(config: Config, sizes: PromptSizes, layout: ModelLayout): void {
  checkSavedModules(config, layout);
  const expected = {
    token_dim: sizes.tokenDim,
    num_layers: layout.shape.numHiddenLayers,
    num_attention_heads: sizes.numAttentionHeads,
    num_transformer_submodules: 1,
  };
  for (const [key, value] of Object.entries(expected)) {
    const given = config[key];
    if (given === undefined || given === null || given === value) continue;
    throw new HeadwaterError(
      'ADAPTER_INVALID',
      `adapter_config.json says ${key} = ${JSON.stringify(given)}, this model has ${value}`,
      { hint: `The adapter was made for another model (it names ${nameOf(config)} as its base).` },
    );
  }
}

function checkSavedModules(config: Config, { headModules }: ModelLayout): void {
  const given = config.modules_to_save ?? [];
  const known = headModules.length === 0 ? [] : ['classifier', 'score', ...headModules];
  const other = Array.isArray(given) ? given.find((name) => !known.includes(name)) : given;
  if (other === undefined) return;
  throw new HeadwaterError(
    'ADAPTER_INVALID',
    `adapter_config.json asks for modules_to_save = ${JSON.stringify(given)}`,
    { hint: 'Beside a prompt PEFT saves the head of a classifier; other modules are not read here.' },
  );
}

function nameOf({ base_model_name_or_path: name }: Config): string {
  return typeof name === 'string' && name !== '' ? `"${name}"` : 'nothing';
}

/** A prompt and, in a classifier, its head: PEFT names these tensors without the `model.` that other kinds have. */
export function withHead(prompt: BoundTuning, layout: ModelLayout): BoundTuning {
  const { parameters } = savedModules([], layout);
  return alsoTraining(
    prompt,
    parameters.map((one) => ({ ...one, tensor: `base_model.${one.parameter}` })),
  );
}
