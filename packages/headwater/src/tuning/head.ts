/** The classification head alone is trained: linear probing. PEFT has no such kind: the format is Headwater's own. */

import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import type { BoundTuning, ModelLayout, TuningKind } from './kind.ts';
import { checkDepth, ownConfig } from './own-format.ts';
import { type KnownSettings, refuseUnread } from './peft-config.ts';
import { savedModules } from './saved-modules.ts';
import { parametersOf, parameterTuning } from './trained-parameters.ts';

const PEFT_TYPE = 'HEAD';

const options = z.strictObject({});

type HeadOptions = z.infer<typeof options>;

export const head: TuningKind<HeadOptions> = {
  id: 'head',
  summary: 'the classification head only (linear probing), in a format of its own',
  options,
  bind: bindHead,
  fromAdapterConfig(config) {
    if (config.peft_type !== PEFT_TYPE) return undefined;
    refuseUnread(config, SETTINGS);
    return {};
  },
  bindAdapter(given, layout, config) {
    checkDepth(config, layout);
    return bindHead(given, layout);
  },
};

const SETTINGS: KnownSettings = {
  read: new Set(['num_hidden_layers']),
  harmless: new Set(),
  unused: {},
  computed: 'the classification head',
};

function bindHead(given: HeadOptions, layout: ModelLayout): BoundTuning {
  if (layout.headModules.length === 0)
    throw new HeadwaterError('OPTION_INVALID', 'this model has no classification head', {
      hint: 'For the vocabulary matrix of a language model: kind: layers, layers: [], head: true.',
    });
  const names = savedModules([], layout).parameters.map(({ parameter }) => parameter);
  const parts = { kind: 'head', options: given, adapterConfig: () => ownConfig(PEFT_TYPE, layout) };
  return parameterTuning(parts, parametersOf(names, layout));
}
