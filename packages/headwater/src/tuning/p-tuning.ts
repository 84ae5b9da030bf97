/**
 * P-tuning (Liu et al. 2021, arXiv:2103.10385) as PEFT computes it: P embeddings before every sequence that come out of a
 * trained encoder of three linear layers. The adapter file holds the resulting embeddings; read again they are a prompt
 * that prompt tuning may continue.
 */

import { z } from 'zod';
import type { Graph, Value } from '../graph/ir.ts';
import type { Sites } from '../graph/sites.ts';
import type { BoundTuning, ModelLayout, TuningKind, Wrapped } from './kind.ts';
import { parsedOptions } from './peft-config.ts';
import {
  checkCount,
  checkModelOf,
  numVirtualTokensOption,
  promptConfig,
  refuseUnreadPrompt,
  withHead,
} from './prompt-config.ts';
import {
  encoded,
  encodedValues,
  encoderTensors,
  initialEncoder,
  type PromptEncoder,
} from './prompt-encoder.ts';
import { bindFinishedPrompt, embeddingSizes, filePrompt } from './prompt-tuning.ts';
import { withVirtualRows } from './virtual-rows.ts';

const options = z.strictObject({
  numVirtualTokens: numVirtualTokensOption,
  encoderReparameterizationType: z
    .literal('MLP', { error: 'the encoder that is trained here is MLP' })
    .default('MLP')
    .describe('What the embeddings are trained through. PEFT also has LSTM, whose adapters are read here.'),
  encoderHiddenSize: z
    .int()
    .positive()
    .optional()
    .describe('Width inside the encoder. Default: the hidden size of the model.'),
});

type Options = z.infer<typeof options>;

export const pTuning: TuningKind<Options> = {
  id: 'p-tuning',
  summary: 'embeddings before every sequence, trained through a small encoder (p-tuning), in PEFT format',
  options,
  bind: bindPTuning,
  fromAdapterConfig: (config) => {
    if (config.peft_type !== 'P_TUNING') return undefined;
    // The file holds what came out of the encoder, whichever it was.
    const harmless = ['encoder_dropout', 'encoder_num_layers', 'encoder_reparameterization_type'];
    refuseUnreadPrompt(config, { read: ['encoder_hidden_size'], harmless });
    return parsedOptions(options, {
      numVirtualTokens: config.num_virtual_tokens ?? 0,
      encoderHiddenSize: config.encoder_hidden_size,
    });
  },
  bindAdapter: ({ numVirtualTokens }, layout, config) => {
    checkModelOf(config, embeddingSizes(layout), layout);
    return bindFinishedPrompt(numVirtualTokens, layout);
  },
};

function bindPTuning(bound: Options, layout: ModelLayout): BoundTuning {
  const { numVirtualTokens: count, encoderHiddenSize: width = layout.shape.hiddenSize } = bound;
  checkCount(count, layout);
  const { hiddenSize } = layout.shape;
  const widths = [hiddenSize, width, width, hiddenSize] as const;
  const encoder: PromptEncoder = { count, layers: 'mlp_head', widths: [...widths], activation: 'relu' };
  const prompt: BoundTuning = {
    kind: 'p-tuning',
    options: bound,
    tensors: encoderTensors(encoder),
    virtual: { count, as: 'tokens' },
    init: async (random) => initialEncoder(encoder, random),
    wrap: (graph, base) => wrap(graph, base, encoder, layout),
    adapterTensors: (params) => filePrompt(encodedValues(encoder, params)),
    adapterConfig: () => ({
      ...promptConfig('P_TUNING', count, embeddingSizes(layout), layout),
      encoder_dropout: 0,
      encoder_hidden_size: width,
      encoder_num_layers: 2,
      encoder_reparameterization_type: 'MLP',
    }),
  };
  return withHead(prompt, layout);
}

function wrap(graph: Graph, base: Sites, encoder: PromptEncoder, layout: ModelLayout): Wrapped {
  const trainable = new Map<string, Value>(
    encoderTensors(encoder).map(({ name, shape }) => [name, graph.input(name, 'float32', shape)]),
  );
  const sites = withVirtualRows(base, encoded(encoder, trainable), layout.tokenEmbedding);
  return { sites, trainable, dropout: [] };
}
