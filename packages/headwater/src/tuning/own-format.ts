/**
 * The adapter format of kinds that train parameters of the checkpoint themselves, which PEFT does not know: tensors under
 * their checkpoint names, and an `adapter_config.json` with a `peft_type` of ours.
 */

import { HeadwaterError } from '../base/errors.ts';
import type { ModelLayout } from './kind.ts';
import { taskType } from './peft-config.ts';

/** `settings` and what a reader needs to see that the base is another. */
export function ownConfig(
  peftType: string,
  layout: ModelLayout,
  settings: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  return {
    ...settings,
    inference_mode: true,
    num_hidden_layers: layout.shape.numHiddenLayers,
    peft_type: peftType,
    task_type: taskType(layout),
  };
}

/** Throws ADAPTER_INVALID when the configuration was written for a network of another depth. */
export function checkDepth(config: Readonly<Record<string, unknown>>, { shape }: ModelLayout): void {
  const { num_hidden_layers: depth } = config;
  if (depth === undefined || depth === shape.numHiddenLayers) return;
  throw new HeadwaterError(
    'ADAPTER_INVALID',
    `adapter_config.json is for a model of ${JSON.stringify(depth)} layers, this one has ${shape.numHiddenLayers}`,
    { hint: 'Give the base model that the adapter was trained on.' },
  );
}
