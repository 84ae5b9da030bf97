/** Every architecture that can be written as GGUF, by Hugging Face `model_type`. */

import { HeadwaterError } from '../../base/errors.ts';
import type { GgufArchitecture } from './architecture.ts';
import { gemma } from './architectures/gemma.ts';
import { gemma2 } from './architectures/gemma2.ts';
import { gemma3, gemma3Text } from './architectures/gemma3.ts';
import { gptNeox } from './architectures/gpt-neox.ts';
import { gpt2 } from './architectures/gpt2.ts';
import { llama, mistral } from './architectures/llama.ts';
import { olmo2 } from './architectures/olmo2.ts';
import { phi3 } from './architectures/phi3.ts';
import { qwen2 } from './architectures/qwen2.ts';
import { qwen3 } from './architectures/qwen3.ts';
import { smollm3 } from './architectures/smollm3.ts';

export const GGUF_ARCHITECTURES: ReadonlyMap<string, GgufArchitecture> = new Map(
  [llama, mistral, qwen2, qwen3, smollm3, olmo2, gemma, gemma2, gemma3Text, gemma3, phi3, gpt2, gptNeox].map(
    (architecture) => [architecture.id, architecture],
  ),
);

/** Throws MODEL_UNSUPPORTED. */
export function ggufArchitecture(id: string, where: string): GgufArchitecture {
  const found = GGUF_ARCHITECTURES.get(id);
  if (found !== undefined) return found;
  throw new HeadwaterError('MODEL_UNSUPPORTED', `models of type "${id}" cannot be written as GGUF here`, {
    where,
    hint: `Architectures that can: ${[...GGUF_ARCHITECTURES.keys()].join(', ')}. Encoders stay with safetensors.`,
  });
}
