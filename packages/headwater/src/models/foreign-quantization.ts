/**
 * Checkpoints that somebody else has quantized: they are recognised, named and refused, because reading their integers as
 * weights would give another model. Headwater quantizes plain checkpoints itself (`quantized-format.ts`).
 */

import { HeadwaterError } from '../base/errors.ts';

/** `quant_method` of Hugging Face's `quantization_config` → the name people know. */
const METHODS: ReadonlyMap<string, string> = new Map([
  ['bitsandbytes', 'bitsandbytes'],
  ['gptq', 'GPTQ'],
  ['awq', 'AWQ'],
  ['compressed-tensors', 'compressed-tensors'],
  ['fp8', 'FP8'],
  ['fbgemm_fp8', 'FP8 (FBGEMM)'],
  ['mxfp4', 'MXFP4'],
  ['hqq', 'HQQ'],
  ['quanto', 'Quanto'],
  ['aqlm', 'AQLM'],
  ['eetq', 'EETQ'],
  ['torchao', 'torchao'],
]);

/** Endings of tensors that only such checkpoints have. */
const TENSORS: readonly (readonly [RegExp, string])[] = [
  [/\.qweight$/, 'GPTQ or AWQ'],
  [/\.(SCB|weight_format)$|\.weight\.(absmax|quant_map|quant_state\.)/, 'bitsandbytes'],
  [/\.weight_packed$/, 'compressed-tensors'],
  [/\.weight_scale(_inv)?$/, 'FP8'],
];

/** Throws MODEL_UNSUPPORTED, naming the method, when config.json has a `quantization_config`. */
export function refuseQuantizedConfig(config: unknown, where: string): void {
  const found = (config as { quantization_config?: unknown } | null)?.quantization_config;
  if (typeof found !== 'object' || found === null) return;
  const settings = found as Readonly<Record<string, unknown>>;
  throw refusal(`quantized with ${methodOf(settings)} (quantization_config in config.json)`, where);
}

/** The same for checkpoints whose configuration does not tell. */
export function refuseQuantizedTensors(names: Iterable<string>, where: string): void {
  for (const name of names)
    for (const [pattern, method] of TENSORS)
      if (pattern.test(name)) throw refusal(`quantized with ${method} (it has a tensor "${name}")`, where);
}

/** GGUF files are for llama.cpp. */
export function onlyGguf(where: string, files: readonly string[]): HeadwaterError {
  return refusal(`in llama.cpp’s format (${files.slice(0, 3).join(', ')})`, where);
}

function methodOf(settings: Readonly<Record<string, unknown>>): string {
  const { quant_method: method, load_in_4bit: in4, load_in_8bit: in8, bits } = settings;
  // Old bitsandbytes configurations do not name themselves.
  const id = typeof method === 'string' ? method : in4 || in8 ? 'bitsandbytes' : undefined;
  if (id === undefined) return 'an unknown method';
  const width = in4 === true ? 4 : in8 === true ? 8 : bits;
  const name = METHODS.get(id.toLowerCase()) ?? JSON.stringify(id);
  return typeof width === 'number' ? `${name}, ${width} bits` : name;
}

function refusal(what: string, where: string): HeadwaterError {
  return new HeadwaterError('MODEL_UNSUPPORTED', `the checkpoint is ${what}, which Headwater does not read`, {
    where,
    hint: 'Take the model in float32, float16 or bfloat16 that it was made from; `headwater quantize MODEL --bits 8` (or 4) makes it small.',
  });
}
