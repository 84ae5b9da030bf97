/** Every architecture that can be written as GGUF, by Hugging Face `model_type`, and why the others cannot. */

import { HeadwaterError } from '../../base/errors.ts';
import type { GgufArchitecture } from './architecture.ts';
import { llama, mistral } from './architectures/llama.ts';
import { qwen2 } from './architectures/qwen2.ts';
import { qwen3 } from './architectures/qwen3.ts';

export const GGUF_ARCHITECTURES: ReadonlyMap<string, GgufArchitecture> = new Map(
  [llama, mistral, qwen2, qwen3].map((architecture) => [architecture.id, architecture]),
);

/** Throws MODEL_UNSUPPORTED. */
export function ggufArchitecture(id: string, where: string): GgufArchitecture {
  const found = GGUF_ARCHITECTURES.get(id);
  if (found !== undefined) return found;
  throw new HeadwaterError('MODEL_UNSUPPORTED', `models of type "${id}" cannot be written as GGUF here`, {
    where,
    hint: `Architectures that can: ${[...GGUF_ARCHITECTURES.keys()].join(', ')}.`,
  });
}
