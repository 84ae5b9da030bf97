/** What a GGUF record may know of a model, taken from its configuration and from the network that is built of it. */

import { HeadwaterError } from '../../base/errors.ts';
import { sizeOf } from '../../base/tensor.ts';
import { Graph } from '../../graph/ir.ts';
import { parameterSites } from '../../graph/sites.ts';
import type { RawConfig } from '../../models/config.ts';
import type { AttendOptions, ModelDefinition } from '../../models/model.ts';
import type { GgufFacts } from './architecture.ts';
import type { GgufValue } from './format.ts';

export function factsOf(definition: ModelDefinition, config: RawConfig, where: string): GgufFacts {
  const numParameters = [...definition.parameters.values()].reduce((sum, shape) => sum + sizeOf(shape), 0);
  const { shape } = definition;
  return { shape, config, attention: attentionOf(definition), numParameters, where };
}

/** The options of every layer's attention: the network is built once for two tokens and asked. */
function attentionOf(definition: ModelDefinition): AttendOptions[] {
  const graph = new Graph();
  const inputs = new Map<string, ReturnType<Graph['input']>>();
  const options: AttendOptions[] = [];
  const parameter = (name: string, shape: readonly number[]) => {
    const known = inputs.get(name) ?? graph.input(name, 'float32', shape);
    inputs.set(name, known);
    return known;
  };
  definition.forward({
    sites: parameterSites(parameter),
    tokens: graph.input('tokens', 'int32', [1, 2]),
    positions: graph.input('positions', 'int32', [1, 2]),
    maxPositions: 2,
    attend: (layer, q, _k, _v, given) => {
      options[layer] = given;
      return q;
    },
    block: (_layer, x, body) => body(x),
  });
  return options;
}

export function unsupported({ where }: GgufFacts, what: string, hint?: string): HeadwaterError {
  return new HeadwaterError('MODEL_UNSUPPORTED', what, {
    where,
    hint: hint ?? 'Merge the adapter (headwater merge) and use the safetensors folder.',
  });
}

export const uint32 = (value: number): GgufValue => ({ type: 'uint32', value });
export const float32 = (value: number): GgufValue => ({ type: 'float32', value });

/** A number of config.json, or what transformers takes where it is absent. */
export function numberOf({ config }: GgufFacts, key: string, otherwise: number): number {
  const value = config[key];
  return typeof value === 'number' ? value : otherwise;
}
