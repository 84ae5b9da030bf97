/** BERT (Devlin et al. 2018, arXiv:1810.04805) as a classifier: a tanh pooler over the first token, then a linear layer. */

import { z } from 'zod';
import { tanh } from '../../graph/ops/index.ts';
import type { Architecture } from '../architecture.ts';
import { lacksHead } from '../classification-head.ts';
import { classProjection, encoderClassifier, headLinear } from '../encoder-classifier.ts';
import { bertEncoder, bertSizes, encoderKeys, parseEncoderConfig } from '../encoder-config.ts';

const schema = z.strictObject(encoderKeys);

const CLASSES = {
  classifier: 'BertForSequenceClassification',
  plain: ['BertModel', 'BertForMaskedLM', 'BertForPreTraining', 'BertForNextSentencePrediction'],
};

export const bert: Architecture = {
  id: 'bert',
  summary: 'BERT encoders (bert-base, MiniLM, BGE …) with a classification head',
  lacksHead: (raw) => lacksHead(raw, CLASSES),
  define(raw, where, options = {}) {
    const config = parseEncoderConfig(schema, raw, where);
    return encoderClassifier(raw, where, options, {
      architecture: 'bert',
      prefix: 'bert',
      classes: CLASSES,
      sizes: bertSizes(config, 0),
      encoder: bertEncoder(config, 'bert', 0),
      headModules: ['classifier'],
      pooler: 'bert.pooler',
      output: (sites, rows, shape) =>
        classProjection(
          sites,
          tanh(headLinear(sites, rows, 'bert.pooler.dense', shape)),
          'classifier',
          shape,
        ),
    });
  },
};
