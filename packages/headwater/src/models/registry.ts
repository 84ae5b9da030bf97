/** Every architecture, by Hugging Face `model_type`. */

import { HeadwaterError } from '../base/errors.ts';
import type { Architecture, DefineOptions } from './architecture.ts';
import { bert } from './architectures/bert.ts';
import { distilbert } from './architectures/distilbert.ts';
import { gemma } from './architectures/gemma.ts';
import { gemma2 } from './architectures/gemma2.ts';
import { gemma3, gemma3Text } from './architectures/gemma3.ts';
import { gptNeox } from './architectures/gpt-neox.ts';
import { gpt2 } from './architectures/gpt2.ts';
import { llama } from './architectures/llama.ts';
import { mistral } from './architectures/mistral.ts';
import { olmo2 } from './architectures/olmo2.ts';
import { phi3 } from './architectures/phi3.ts';
import { qwen2 } from './architectures/qwen2.ts';
import { qwen3 } from './architectures/qwen3.ts';
import { roberta } from './architectures/roberta.ts';
import { smollm3 } from './architectures/smollm3.ts';
import type { RawConfig } from './config.ts';
import type { ModelDefinition } from './model.ts';

export const ARCHITECTURES: ReadonlyMap<string, Architecture> = new Map(
  [
    ...[llama, mistral, qwen2, qwen3, smollm3, olmo2, gemma, gemma2, gemma3Text, gemma3, phi3, gpt2, gptNeox],
    ...[bert, roberta, distilbert],
  ].map((architecture) => [architecture.id, architecture]),
);

/**
 * The definition that a parsed config.json describes. Throws MODEL_UNSUPPORTED or MODEL_INVALID, OPTION_INVALID for
 * classes that do not fit.
 */
export function definitionOf(config: unknown, where: string, options: DefineOptions = {}): ModelDefinition {
  const { raw, architecture } = architectureOf(config, where);
  if (options.labels !== undefined && architecture.lacksHead === undefined)
    throw new HeadwaterError('OPTION_INVALID', `labels are given, but ${architecture.id} models write text`, {
      where,
      hint: 'Leave labels out, or choose an encoder (bert, roberta, distilbert).',
    });
  return architecture.define(raw, where, options);
}

/** Whether the configuration is an encoder's whose classes must be given. Throws like `definitionOf`. */
export function needsLabels(config: unknown, where: string): boolean {
  const { raw, architecture } = architectureOf(config, where);
  return architecture.lacksHead?.(raw) ?? false;
}

function architectureOf(
  config: unknown,
  where: string,
): { readonly raw: RawConfig; readonly architecture: Architecture } {
  if (typeof config !== 'object' || config === null || Array.isArray(config))
    throw new HeadwaterError('MODEL_INVALID', 'the configuration is no JSON object', { where });
  const raw = config as RawConfig;
  const architecture = ARCHITECTURES.get(String(raw.model_type));
  if (architecture === undefined)
    throw new HeadwaterError(
      'MODEL_UNSUPPORTED',
      `model_type is ${JSON.stringify(raw.model_type) ?? 'missing'}; supported: ${[...ARCHITECTURES.keys()].join(', ')}`,
      { where, hint: 'Choose a model of a supported architecture.' },
    );
  checkNotQuantized(raw, where);
  const { auto_map: code, ...rest } = raw;
  if (code === undefined || isUpstream(code, architecture)) return { raw: rest, architecture };
  throw new HeadwaterError('MODEL_UNSUPPORTED', 'auto_map: the model comes with its own Python code', {
    where,
    hint: 'Headwater runs no code from model repositories; choose a model that transformers supports itself.',
  });
}

function checkNotQuantized(
  { quantization_config: config, compression_config }: RawConfig,
  where: string,
): void {
  const found = config ?? compression_config ?? undefined;
  if (found === undefined) return;
  const { quant_method: method } = found as { quant_method?: unknown };
  const by = typeof method === 'string' ? `with ${method}` : `as ${JSON.stringify(found).slice(0, 80)} says`;
  throw new HeadwaterError('MODEL_UNSUPPORTED', `quantization_config: the weights are quantized ${by}`, {
    where,
    hint: 'Choose the unquantized version of the model; "headwater quantize" makes int8 and int4 weights of it.',
  });
}

/** `owner/name--module.Class` names code of another repository; a tokenizer's code is not the network's. */
function isUpstream(code: unknown, { upstreamCode = {} }: Architecture): boolean {
  if (typeof code !== 'object' || code === null) return false;
  return Object.entries(code).every(
    ([key, value]) =>
      key === 'AutoTokenizer' ||
      (key in upstreamCode && String(value).replace(/^.*--/, '') === upstreamCode[key]),
  );
}
