/** The record of an architecture: one file in `architectures/`, one line in `registry.ts`. */

import type { RawConfig } from './config.ts';
import type { ModelDefinition } from './model.ts';

/** What a configuration does not say. */
export interface DefineOptions {
  /** Classes of a classification head: for an encoder without one, or to put another in the place of the checkpoint's. */
  readonly labels?: readonly string[] | undefined;
  /** Names of the checkpoint's tensors; omitted: unknown, everything that may be there is. */
  readonly tensorNames?: ReadonlySet<string>;
}

export interface Architecture {
  /** Hugging Face `model_type`. */
  readonly id: string;
  readonly summary: string;
  /** Entries of `auto_map` whose Python code transformers has since taken in, as published checkpoints still name it. */
  readonly upstreamCode?: Readonly<Record<string, string>>;
  /** Encoders: the checkpoint has no classification head, so `define` needs labels. */
  lacksHead?(config: RawConfig): boolean;
  /** Throws MODEL_UNSUPPORTED or MODEL_INVALID, naming `where` and every offending key. */
  define(config: RawConfig, where: string, options?: DefineOptions): ModelDefinition;
}
