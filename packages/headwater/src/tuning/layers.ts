/**
 * Layer selection: chosen blocks are trained whole, optionally embeddings, last norm and head. The rest holds neither
 * gradients nor optimizer state, and the backward pass ends at the lowest trained block. PEFT has no such kind: the format
 * is Headwater's own.
 */

import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import type { BoundTuning, ModelLayout, TuningKind } from './kind.ts';
import { layerIndex } from './lora-targets.ts';
import { checkDepth, ownConfig } from './own-format.ts';
import { type KnownSettings, parsedOptions, refuseUnread } from './peft-config.ts';
import { savedModules } from './saved-modules.ts';
import { parametersOf, parameterTuning } from './trained-parameters.ts';

const PEFT_TYPE = 'LAYERS';

const options = z.strictObject({
  layers: z
    .union([z.string().min(1), z.array(z.int().nonnegative())])
    .describe(
      'Blocks from 0: a list, or ranges and ends as in "0-2, 5, last:2" and "first:1"; [] trains none.',
    ),
  embeddings: z.boolean().default(false),
  finalNorm: z
    .boolean()
    .default(false)
    .describe('What comes behind the blocks and before the head: the last norm, a pooler.'),
  head: z
    .boolean()
    .optional()
    .describe(
      'The vocabulary matrix where it is not the embedding, or the classification head, which is the default there.',
    ),
});

type LayersOptions = z.infer<typeof options>;

export const layers: TuningKind<LayersOptions> = {
  id: 'layers',
  summary: 'chosen blocks of the model whole, in a format of its own',
  options,
  bind: bindLayers,
  fromAdapterConfig(config) {
    if (config.peft_type !== PEFT_TYPE) return undefined;
    refuseUnread(config, SETTINGS);
    const { layers: chosen, embeddings, final_norm: finalNorm, head } = config;
    return parsedOptions(options, { layers: chosen, embeddings, finalNorm, head });
  },
  bindAdapter(given, layout, config) {
    checkDepth(config, layout);
    return bindLayers(given, layout);
  },
};

const SETTINGS: KnownSettings = {
  read: new Set(['layers', 'embeddings', 'final_norm', 'head', 'num_hidden_layers']),
  harmless: new Set(),
  unused: {},
  computed: 'layer selection as it writes it',
};

function bindLayers(given: LayersOptions, layout: ModelLayout): BoundTuning {
  const chosen = chosenLayers(given.layers, layout.shape.numHiddenLayers);
  const { embeddings, finalNorm } = given;
  const head = given.head ?? layout.headModules.length > 0;
  const parts = partsOf(layout);
  if (head && parts.head.length === 0) throw noHead(layout);
  const names = [
    ...(embeddings ? parts.embeddings : []),
    ...chosen.flatMap((index) => parts.blocks.get(index) ?? []),
    ...(finalNorm ? parts.finalNorm : []),
    ...(head ? parts.head : []),
  ];
  if (names.length === 0)
    throw new HeadwaterError('OPTION_INVALID', 'layers selects nothing to train', {
      hint: 'Give blocks, or embeddings, finalNorm or head.',
    });
  const settings = { layers: chosen, embeddings, final_norm: finalNorm, head };
  const adapterConfig = () => ownConfig(PEFT_TYPE, layout, settings);
  return parameterTuning({ kind: 'layers', options: given, adapterConfig }, parametersOf(names, layout));
}

interface ModelParts {
  readonly embeddings: readonly string[];
  readonly blocks: ReadonlyMap<number, readonly string[]>;
  readonly finalNorm: readonly string[];
  readonly head: readonly string[];
}

/** Parameters are listed in network order, so what has no block number lies before the blocks or behind them. */
function partsOf(layout: ModelLayout): ModelParts {
  const blocks = new Map<number, string[]>();
  const [embeddings, finalNorm, head]: [string[], string[], string[]] = [[], [], []];
  const headNames = new Set(savedModules([], layout).parameters.map(({ parameter }) => parameter));
  for (const name of layout.parameters.keys()) {
    const index = layerIndex(`${name}.`, undefined);
    if (index !== undefined) blocks.set(index, [...(blocks.get(index) ?? []), name]);
    else if (blocks.size === 0) embeddings.push(name);
    else if (headNames.has(name) || isVocabulary(name, layout)) head.push(name);
    else finalNorm.push(name);
  }
  return { embeddings, blocks, finalNorm, head };
}

/** Of a module whose matrix has a row for every token. */
function isVocabulary(name: string, { objective, parameters, shape }: ModelLayout): boolean {
  const weight = parameters.get(name.replace(/[^.]+$/, 'weight'));
  return objective === 'causal-lm' && weight?.length === 2 && weight[0] === shape.vocabSize;
}

/** Sorted block numbers. Throws OPTION_INVALID for what cannot be read or is not there. */
function chosenLayers(given: LayersOptions['layers'], count: number): number[] {
  const all = Array.from({ length: count }, (_, i) => i);
  const chosen =
    typeof given === 'string' ? given.split(',').flatMap((part) => rangeOf(part.trim(), all)) : given;
  for (const index of chosen)
    if (index >= count)
      throw new HeadwaterError('OPTION_INVALID', `layers names block ${index}, the model has ${count}`, {
        hint: `Blocks are numbered 0 to ${count - 1}.`,
      });
  return [...new Set(chosen)].sort((a, b) => a - b);
}

function rangeOf(part: string, all: readonly number[]): readonly number[] {
  const end = /^(first|last):(\d+)$/.exec(part);
  if (end !== null) {
    const wanted = Number(end[2]);
    if (wanted >= 1 && wanted <= all.length)
      return end[1] === 'first' ? all.slice(0, wanted) : all.slice(all.length - wanted);
    throw new HeadwaterError('OPTION_INVALID', `layers asks for "${part}" of ${all.length} blocks`);
  }
  const range = /^(\d+)(?:-(\d+))?$/.exec(part);
  const [from, to] = [Number(range?.[1]), Number(range?.[2] ?? range?.[1])];
  if (range === null || to < from)
    throw new HeadwaterError('OPTION_INVALID', `layers: "${part}" is no selection of blocks`, {
      hint: 'Write block numbers, ranges such as 2-4, first:N or last:N, separated by commas.',
    });
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

function noHead({ tokenEmbedding }: ModelLayout): HeadwaterError {
  return new HeadwaterError(
    'OPTION_INVALID',
    `layers: the vocabulary matrix of this model is its embedding, ${tokenEmbedding}.weight`,
    { hint: 'Set embeddings: true instead of head: true; both uses are trained together.' },
  );
}
