/**
 * PEFT's adapter format in memory: `adapter_config.json` and named tensors to and from a bound tuning kind with its
 * parameters. No files (the training room writes them) and no kind's own rules (each kind reads its own settings).
 */

import { assert, HeadwaterError } from '../base/errors.ts';
import { float32Values } from '../base/half.ts';
import { type Params, sameShape, type Tensor, tensor } from '../base/tensor.ts';
import type { BoundTuning, ModelLayout, TuningKind } from './kind.ts';
import { checkTask } from './peft-config.ts';

export const ADAPTER_CONFIG = 'adapter_config.json';
export const ADAPTER_WEIGHTS = 'adapter_model.safetensors';

/** `adapter_config.json` as PEFT writes it: sorted keys, two spaces. `baseModel` is what users load the base by. */
export function adapterConfigText(tuning: BoundTuning, baseModel: string): string {
  const config = tuning.adapterConfig();
  assert(config !== undefined, `${tuning.kind} has no adapter format`);
  const all = { ...config, base_model_name_or_path: baseModel };
  const sorted = Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify(Object.fromEntries(sorted), null, 2);
}

export interface Adapter {
  readonly tuning: BoundTuning;
  /** What a training with the file's settings trains: other tensors, where the file holds only what came out of them. */
  readonly asTrained: () => BoundTuning;
  /** float32, whatever the file holds. */
  readonly params: Params;
  /** As the configuration names it. */
  readonly baseModel: string | undefined;
}

/** Configuration and tensors of an adapter, made to fit a model. Throws ADAPTER_INVALID. */
export function parseAdapter(
  config: unknown,
  tensors: ReadonlyMap<string, Tensor>,
  layout: ModelLayout,
  kinds: ReadonlyMap<string, TuningKind<unknown>>,
): Adapter {
  if (typeof config !== 'object' || config === null || Array.isArray(config))
    throw new HeadwaterError('ADAPTER_INVALID', `${ADAPTER_CONFIG} is no JSON object`);
  const settings = config as Record<string, unknown>;
  const { kind, options } = kindOf(settings, kinds);
  checkTask(settings, layout);
  const tuning = bound(kind, options, layout, settings);
  const name = settings.base_model_name_or_path;
  const baseModel = typeof name === 'string' && name !== '' ? name : undefined;
  const params = fitted(tuning, tensors, baseModel);
  return { tuning, params, baseModel, asTrained: () => kind.bind(options, layout) };
}

function kindOf(
  config: Record<string, unknown>,
  kinds: ReadonlyMap<string, TuningKind<unknown>>,
): { readonly kind: TuningKind<unknown>; readonly options: unknown } {
  for (const kind of kinds.values()) {
    const options = kind.fromAdapterConfig(config);
    if (options !== undefined) return { kind, options };
  }
  const type = JSON.stringify(config.peft_type ?? null);
  throw new HeadwaterError(
    'ADAPTER_INVALID',
    `${ADAPTER_CONFIG} has peft_type ${type}, which is not supported`,
    {
      hint: `Tuning kinds here: ${[...kinds.keys()].join(', ')}.`,
    },
  );
}

function bound(
  kind: TuningKind<unknown>,
  options: unknown,
  layout: ModelLayout,
  config: Readonly<Record<string, unknown>>,
): BoundTuning {
  try {
    return kind.bindAdapter?.(options, layout, config) ?? kind.bind(options, layout);
  } catch (cause) {
    if (!(cause instanceof HeadwaterError) || cause.code !== 'OPTION_INVALID') throw cause;
    const hint = 'The adapter is of another model, or its configuration was edited.';
    throw new HeadwaterError('ADAPTER_INVALID', `${ADAPTER_CONFIG}: ${cause.message}`, { hint, cause });
  }
}

function fitted(
  tuning: BoundTuning,
  tensors: ReadonlyMap<string, Tensor>,
  baseModel: string | undefined,
): Params {
  const base = baseModel === undefined ? '' : ` (it names "${baseModel}" as its base model)`;
  const hint = `The adapter does not belong to this model${base}, or the file is incomplete.`;
  const refuse = (message: string) => new HeadwaterError('ADAPTER_INVALID', message, { hint });
  const expected = new Set(tuning.tensors.map(({ name }) => name));
  const missing = tuning.tensors.filter(({ name }) => !tensors.has(name));
  const extra = [...tensors.keys()].filter((name) => !expected.has(name) && !isLeftover(name));
  if (missing.length > 0)
    throw refuse(`${missing.length} of ${expected.size} tensors are missing, first "${missing[0]!.name}"`);
  if (extra.length > 0)
    throw refuse(`${extra.length} tensors have no place in this model, first "${extra[0]}"`);
  return new Map(
    tuning.tensors.map(({ name, shape }) => [name, fittedTensor(name, shape, tensors.get(name)!, refuse)]),
  );
}

/** With `bias: all` PEFT also writes the untouched and the trained bias of a module that is saved whole, which it never reads. */
function isLeftover(name: string): boolean {
  return /\.(original_module|modules_to_save)(\..+)?\.bias$/.test(name);
}

function fittedTensor(
  name: string,
  shape: readonly number[],
  value: Tensor,
  refuse: (message: string) => HeadwaterError,
): Tensor<'float32'> {
  if (!sameShape(value.shape, shape))
    throw refuse(`tensor "${name}" is [${value.shape}], this model and configuration need [${shape}]`);
  if (value.dtype !== 'float32' && value.dtype !== 'float16' && value.dtype !== 'bfloat16')
    throw refuse(`tensor "${name}" has dtype ${value.dtype}, expected float32, float16 or bfloat16`);
  const data = float32Values(value);
  const bad = data.findIndex((item) => !Number.isFinite(item));
  if (bad >= 0) throw refuse(`tensor "${name}" has NaN or infinity at element ${bad}`);
  return tensor('float32', shape, data);
}
