/** smollm3 in GGUF: llama's tensors; llama.cpp leaves every fourth layer unturned, whatever the file says. */

import type { GgufArchitecture, GgufFacts } from '../architecture.ts';
import { checkNoBias, llamaFamilyMetadata } from '../decoder-metadata.ts';
import { numberOf, unsupported } from '../facts.ts';
import { ropeMetadata, rotaryOf } from '../rope.ts';
import { EMBEDDINGS, GATED_MLP, INTERLEAVED_ATTENTION, PRE_NORMS } from '../tensor-rules.ts';

const STEP = 4;
const DEFAULT_THETA = 2_000_000;

export const smollm3: GgufArchitecture = {
  id: 'smollm3',
  ggufId: 'smollm3',
  tensors: [...EMBEDDINGS, ...PRE_NORMS, ...INTERLEAVED_ATTENTION, ...GATED_MLP],
  metadata(facts) {
    checkNoBias(facts, 'attention_bias', 'mlp_bias');
    checkLayers(facts);
    const rotary = rotaryOf(facts, { ropeTheta: numberOf(facts, 'rope_theta', DEFAULT_THETA) });
    return [...llamaFamilyMetadata(facts), ...ropeMetadata(facts, rotary, ['linear', 'yarn'])];
  },
};

function checkLayers(facts: GgufFacts): void {
  const interval = numberOf(facts, 'no_rope_layer_interval', STEP);
  const turned =
    (facts.config.no_rope_layers as number[] | null | undefined) ??
    Array.from({ length: facts.shape.numHiddenLayers }, (_, layer) => ((layer + 1) % interval === 0 ? 0 : 1));
  if (turned.some((flag, layer) => flag !== ((layer + 1) % STEP === 0 ? 0 : 1)))
    throw unsupported(
      facts,
      `no_rope_layers is [${turned}]; llama.cpp leaves every ${STEP}th layer unturned`,
    );
}
