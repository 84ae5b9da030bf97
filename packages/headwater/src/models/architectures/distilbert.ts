/** DistilBERT (Sanh et al. 2019, arXiv:1910.01108) as a classifier: linear, relu, linear over the first token. */

import { z } from 'zod';
import { relu } from '../../graph/ops/index.ts';
import type { Architecture } from '../architecture.ts';
import { activation } from '../blocks/activation.ts';
import { lacksHead } from '../classification-head.ts';
import { dropout, off, positiveInt } from '../config.ts';
import { classProjection, encoderClassifier, headLinear } from '../encoder-classifier.ts';
import { parseEncoderConfig } from '../encoder-config.ts';

const schema = z.strictObject({
  dim: positiveInt,
  hidden_dim: positiveInt,
  n_layers: positiveInt.max(10_000),
  n_heads: positiveInt,
  vocab_size: positiveInt,
  max_position_embeddings: positiveInt,
  activation: activation.default('gelu'),
  sinusoidal_pos_embds: off,
  dropout,
  attention_dropout: dropout,
  qa_dropout: dropout,
  seq_classif_dropout: dropout,
  /** Of the matrix that predicts masked words, which is not used here. */
  tie_word_embeddings: z.boolean().optional(),
  tie_weights_: z.boolean().optional(),
  output_past: z.boolean().optional(),
  is_decoder: off,
  is_encoder_decoder: off,
  add_cross_attention: off,
});

const CLASSES = {
  classifier: 'DistilBertForSequenceClassification',
  plain: ['DistilBertModel', 'DistilBertForMaskedLM'],
};

/** Not in the configuration. */
const LAYER_NORM_EPSILON = 1e-12;

function layerNames(layer: number) {
  const module = `distilbert.transformer.layer.${layer}`;
  return {
    query: `${module}.attention.q_lin`,
    key: `${module}.attention.k_lin`,
    value: `${module}.attention.v_lin`,
    attentionOutput: `${module}.attention.out_lin`,
    attentionNorm: `${module}.sa_layer_norm`,
    widen: `${module}.ffn.lin1`,
    narrow: `${module}.ffn.lin2`,
    outputNorm: `${module}.output_layer_norm`,
  };
}

export const distilbert: Architecture = {
  id: 'distilbert',
  summary: 'DistilBERT encoders with a classification head',
  lacksHead: (raw) => lacksHead(raw, CLASSES),
  define(raw, where, options = {}) {
    const config = parseEncoderConfig(schema, raw, where);
    return encoderClassifier(raw, where, options, {
      architecture: 'distilbert',
      prefix: 'distilbert',
      classes: CLASSES,
      sizes: {
        hiddenSize: config.dim,
        numHiddenLayers: config.n_layers,
        numAttentionHeads: config.n_heads,
        vocabSize: config.vocab_size,
        maxPositionEmbeddings: config.max_position_embeddings,
      },
      encoder: {
        intermediateSize: config.hidden_dim,
        layerNormEpsilon: LAYER_NORM_EPSILON,
        activation: config.activation,
        embeddings: 'distilbert.embeddings',
        positionOffset: 0,
        typeVocabSize: undefined,
        layer: layerNames,
      },
      headModules: ['pre_classifier', 'classifier'],
      output: (sites, rows, shape) =>
        classProjection(sites, relu(headLinear(sites, rows, 'pre_classifier', shape)), 'classifier', shape),
    });
  },
};
