/** The record of an architecture: one file in `architectures/`, one line in `registry.ts`. */

import type { RawConfig } from './config.ts';
import type { ModelDefinition } from './model.ts';

export interface Architecture {
  /** Hugging Face `model_type`. */
  readonly id: string;
  readonly summary: string;
  /** Throws MODEL_UNSUPPORTED or MODEL_INVALID, naming `where` and every offending key. */
  define(config: RawConfig, where: string): ModelDefinition;
}
