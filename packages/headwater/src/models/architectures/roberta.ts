/** RoBERTa (Liu et al. 2019, arXiv:1907.11692) as a classifier: linear, tanh, linear over the first token. */

import { z } from 'zod';
import { tanh } from '../../graph/ops/index.ts';
import type { Architecture } from '../architecture.ts';
import { lacksHead } from '../classification-head.ts';
import { classProjection, encoderClassifier, headLinear } from '../encoder-classifier.ts';
import { bertEncoder, bertSizes, encoderKeys, parseEncoderConfig } from '../encoder-config.ts';

const schema = z.strictObject(encoderKeys);

const CLASSES = {
  classifier: 'RobertaForSequenceClassification',
  plain: ['RobertaModel', 'RobertaForMaskedLM'],
};

/** transformers' default; positions are numbered after the row of the padding token. */
const DEFAULT_PAD_TOKEN_ID = 1;

export const roberta: Architecture = {
  id: 'roberta',
  summary: 'RoBERTa encoders with a classification head',
  lacksHead: (raw) => lacksHead(raw, CLASSES),
  define(raw, where, options = {}) {
    const config = parseEncoderConfig(schema, raw, where);
    const pad = typeof raw.pad_token_id === 'number' ? raw.pad_token_id : DEFAULT_PAD_TOKEN_ID;
    return encoderClassifier(raw, where, options, {
      architecture: 'roberta',
      prefix: 'roberta',
      classes: CLASSES,
      sizes: bertSizes(config, pad + 1),
      encoder: bertEncoder(config, 'roberta', pad + 1),
      headModules: ['classifier'],
      output: (sites, rows, shape) =>
        classProjection(
          sites,
          tanh(headLinear(sites, rows, 'classifier.dense', shape)),
          'classifier.out_proj',
          shape,
        ),
    });
  },
};
