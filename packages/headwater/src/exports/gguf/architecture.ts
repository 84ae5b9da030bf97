/**
 * The record of an architecture in GGUF: one file in `architectures/`, one line in `registry.ts`. It says what llama.cpp
 * calls things and where it computes otherwise; weights and files are other people's business.
 */

import type { RawConfig } from '../../models/config.ts';
import type { AttendOptions, ModelShape } from '../../models/model.ts';
import type { GgufValue } from './format.ts';

/** What a record may look at. */
export interface GgufFacts {
  readonly shape: ModelShape;
  /** config.json, accepted by the architecture that loads the model. */
  readonly config: RawConfig;
  /** How every layer attends, seen from the network itself. */
  readonly attention: readonly AttendOptions[];
  readonly numParameters: number;
  /** For messages. */
  readonly where: string;
}

/** New row → old row, for a tensor with so many rows. */
export type RowOrder = (facts: GgufFacts, numRows: number) => Int32Array;

export interface TensorRule {
  /** Name in the checkpoint without its number; `{}` stands for the layer. */
  readonly from: string;
  readonly to: string;
  /** llama.cpp wants the rows (out-features) in another order. */
  readonly rows?: RowOrder;
  /** Added to every value: norms that multiply by 1 + w here and by w there. */
  readonly plus?: number;
  /** Then multiplied into every value. */
  readonly times?: (facts: GgufFacts) => number;
}

/** A tensor that the checkpoint does not store. */
export interface ExtraTensor {
  readonly name: string;
  readonly values: Float32Array;
}

export interface GgufArchitecture {
  /** Hugging Face `model_type`. */
  readonly id: string;
  /** `general.architecture`. */
  readonly ggufId: string;
  readonly tensors: readonly TensorRule[];
  /** Keys without the architecture before them. Throws MODEL_UNSUPPORTED for what llama.cpp computes otherwise. */
  metadata(facts: GgufFacts): readonly (readonly [string, GgufValue])[];
  extraTensors?(facts: GgufFacts): readonly ExtraTensor[];
}
