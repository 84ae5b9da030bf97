/**
 * Reading `adapter_config.json` with care: a setting that would change the result and that a kind does not read is refused
 * by name, never ignored. Knows JSON values, no kind.
 */

import type { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import type { ModelLayout } from './kind.ts';

type Config = Readonly<Record<string, unknown>>;

/** Fields of every PEFT configuration that say how an adapter was made or stored, not what it computes. */
const ABOUT = new Set([
  'auto_mapping',
  'base_model_name_or_path',
  'inference_mode',
  'peft_type',
  'peft_version',
  'revision',
  'task_type',
]);

export interface KnownSettings {
  /** Read by the kind. */
  readonly read: ReadonlySet<string>;
  /** Accepted whatever they say. */
  readonly harmless: ReadonlySet<string>;
  /** Accepted with this value only, which switches them off. */
  readonly unused: Config;
  /** What the kind computes, for the hint. */
  readonly computed: string;
}

/** Throws ADAPTER_INVALID for the first setting that is neither known nor off. */
export function refuseUnread(config: Config, { read, harmless, unused, computed }: KnownSettings): void {
  for (const [key, value] of Object.entries(config)) {
    if (read.has(key) || harmless.has(key) || ABOUT.has(key) || isNothing(value)) continue;
    if (sameJson(value, unused[key])) continue;
    throw new HeadwaterError(
      'ADAPTER_INVALID',
      `adapter_config.json asks for ${key} = ${JSON.stringify(value)}`,
      { hint: `Headwater computes ${computed}; this setting would change the result.` },
    );
  }
}

/** Options from what a configuration says; absent and null fields take their defaults. Throws ADAPTER_INVALID. */
export function parsedOptions<O>(schema: z.ZodType<O>, fields: Config): O {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
  const parsed = schema.safeParse(Object.fromEntries(given));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new HeadwaterError(
    'ADAPTER_INVALID',
    `adapter_config.json: ${issue?.path.join('.') ?? 'options'}: ${issue?.message ?? 'wrong value'}`,
  );
}

/** PEFT writes "nothing" as null, "" or []. */
export function emptyToUndefined(value: unknown): unknown {
  return value === null || value === '' || (Array.isArray(value) && value.length === 0) ? undefined : value;
}

/** `task_type` of adapters of this model. */
export function taskType({ objective }: Pick<ModelLayout, 'objective'>): 'CAUSAL_LM' | 'SEQ_CLS' {
  return objective === 'causal-lm' ? 'CAUSAL_LM' : 'SEQ_CLS';
}

/** Throws ADAPTER_INVALID when the adapter is for another task than the model. */
export function checkTask(config: Config, layout: ModelLayout): void {
  const { task_type: task } = config;
  if (task === undefined || task === null || task === taskType(layout)) return;
  throw new HeadwaterError(
    'ADAPTER_INVALID',
    `adapter_config.json is for task_type ${JSON.stringify(task)}, this model takes ${taskType(layout)}`,
    { hint: 'CAUSAL_LM belongs to language models, SEQ_CLS to models with a classification head.' },
  );
}

function isNothing(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
