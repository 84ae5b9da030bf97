/**
 * An encoder with a classification head as a model: its classes, the head's place in the checkpoint or its fresh start,
 * the names under which published checkpoints hold the encoder. The head's own formula is the architecture's.
 */

import type { Value } from '../graph/ir.ts';
import type { Projection } from '../graph/projection.ts';
import type { Sites } from '../graph/sites.ts';
import type { DefineOptions } from './architecture.ts';
import { type PostNormEncoderConfig, postNormEncoder } from './blocks/post-norm-encoder.ts';
import {
  type ClassificationHead,
  classificationHead,
  type HeadClasses,
  headConfig,
} from './classification-head.ts';
import type { RawConfig } from './config.ts';
import { defineModel } from './define-model.ts';
import { type EncoderSizes, encoderShape } from './encoder-config.ts';
import type { ModelDefinition, ModelShape } from './model.ts';

export interface EncoderClassifier {
  readonly architecture: string;
  /** First part of the encoder's module names: `bert`. Checkpoints of the bare encoder leave it out. */
  readonly prefix: string;
  readonly classes: HeadClasses;
  readonly sizes: Omit<EncoderSizes, 'numLabels'>;
  readonly encoder: Omit<PostNormEncoderConfig, 'shape'>;
  /** Modules of the head, which a checkpoint without it lacks. */
  readonly headModules: readonly string[];
  /** A module that some checkpoints without head have (BERT's pooler) and others lack. */
  readonly pooler?: string;
  /** From the hidden rows of first tokens [M, D] to logits [M, numLabels]. */
  readonly output: (sites: Sites, rows: Value, shape: ModelShape) => Projection;
}

export function encoderClassifier(
  raw: RawConfig,
  where: string,
  { labels, tensorNames }: DefineOptions,
  model: EncoderClassifier,
): ModelDefinition {
  const head = classificationHead(raw, model.classes, labels, where);
  const shape = encoderShape({ ...model.sizes, numLabels: head.labels.length }, where);
  const otherNames = (name: string) => otherNamesOf(name, model.prefix);
  const freshModules = freshModulesOf(head, model, (name) =>
    [name, ...otherNames(name)].some((stored) => tensorNames?.has(stored) ?? true),
  );
  return defineModel({
    architecture: model.architecture,
    shape,
    objective: 'sequence-classification',
    tokenEmbedding: `${model.encoder.embeddings}.word_embeddings`,
    headModules: [...new Set([...model.headModules, ...freshModules])],
    classifier: {
      labels: head.labels,
      freshModules,
      initializerRange: typeof raw.initializer_range === 'number' ? raw.initializer_range : 0.02,
      config: headConfig(model.classes, head.labels),
    },
    otherNames,
    forward: (inputs) => postNormEncoder({ ...model.encoder, shape }, inputs),
    output: (sites, rows) => model.output(sites, rows, shape),
  });
}

function freshModulesOf(
  { fresh }: ClassificationHead,
  { headModules, pooler }: EncoderClassifier,
  isStored: (name: string) => boolean,
): string[] {
  if (!fresh) return [];
  const poolerMissing = pooler !== undefined && !isStored(`${pooler}.dense.weight`);
  return [...headModules, ...(poolerMissing ? [pooler] : [])];
}

/** Bare encoders have no prefix; the first published files call a norm's weight and bias gamma and beta. */
function otherNamesOf(name: string, prefix: string): string[] {
  const bare = name.startsWith(`${prefix}.`) ? [name.slice(prefix.length + 1)] : [];
  const old = [name, ...bare].flatMap((stored) =>
    stored.includes('LayerNorm.')
      ? [
          stored
            .replace(/LayerNorm\.weight$/, 'LayerNorm.gamma')
            .replace(/LayerNorm\.bias$/, 'LayerNorm.beta'),
        ]
      : [],
  );
  return [...bare, ...old];
}

/** The last linear layer of a head: its matrix and bias, which the loss takes apart. */
export function classProjection(
  sites: Sites,
  rows: Value,
  module: string,
  { hiddenSize, numLogits }: ModelShape,
): Projection {
  return {
    rows,
    weight: sites.parameter(`${module}.weight`, [numLogits, hiddenSize]),
    bias: sites.parameter(`${module}.bias`, [numLogits]),
  };
}

/** A linear layer of a head before its last one, D → D. */
export function headLinear(sites: Sites, rows: Value, module: string, { hiddenSize }: ModelShape): Value {
  return sites.linear(rows, module, {
    inFeatures: hiddenSize,
    outFeatures: hiddenSize,
    bias: true,
    role: 'head',
  });
}
