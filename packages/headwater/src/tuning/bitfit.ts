/**
 * BitFit (Ben Zaken et al. 2022, arXiv:2106.10199): the bias terms of the model are trained, nothing else but the head of a
 * classifier. PEFT has no such kind: the format is Headwater's own.
 */

import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import type { BoundTuning, ModelLayout, TuningKind } from './kind.ts';
import { checkDepth, ownConfig } from './own-format.ts';
import { emptyToUndefined, type KnownSettings, parsedOptions, refuseUnread } from './peft-config.ts';
import { modulesToSaveOption, savedModules } from './saved-modules.ts';
import { parametersOf, parameterTuning } from './trained-parameters.ts';

const PEFT_TYPE = 'BITFIT';

const options = z.strictObject({ modulesToSave: modulesToSaveOption });

type BitfitOptions = z.infer<typeof options>;

export const bitfit: TuningKind<BitfitOptions> = {
  id: 'bitfit',
  summary: 'the bias terms of the model, in a format of its own',
  options,
  bind: bindBitfit,
  fromAdapterConfig(config) {
    if (config.peft_type !== PEFT_TYPE) return undefined;
    refuseUnread(config, SETTINGS);
    return parsedOptions(options, { modulesToSave: emptyToUndefined(config.modules_to_save) });
  },
  bindAdapter(given, layout, config) {
    checkDepth(config, layout);
    return bindBitfit(given, layout);
  },
};

const SETTINGS: KnownSettings = {
  read: new Set(['modules_to_save', 'num_hidden_layers']),
  harmless: new Set(),
  unused: {},
  computed: 'BitFit as it writes it',
};

function bindBitfit(given: BitfitOptions, layout: ModelLayout): BoundTuning {
  const biases = [...layout.parameters.keys()].filter((name) => name.endsWith('.bias'));
  if (biases.length === 0)
    throw new HeadwaterError(
      'OPTION_INVALID',
      'this model has no bias terms, so BitFit would train nothing',
      {
        hint: 'Models like llama have none; qwen2, gpt2 and the encoders do. kind: ia3 trains about as few numbers.',
      },
    );
  const saved = savedModules(given.modulesToSave, layout);
  const whole = saved.parameters.map(({ parameter }) => parameter);
  return parameterTuning(
    {
      kind: 'bitfit',
      options: given,
      adapterConfig: () =>
        ownConfig(PEFT_TYPE, layout, {
          modules_to_save: saved.modules.length === 0 ? null : saved.modules,
        }),
    },
    parametersOf(new Set([...biases, ...whole]), layout),
  );
}
