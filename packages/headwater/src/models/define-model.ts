/**
 * Makes a ModelDefinition from its two functions. Parameter names, shapes and linear modules are not listed by hand:
 * they are what the forward function asks of its sites, so the list cannot disagree with the network.
 */

import { Graph } from '../graph/ir.ts';
import { type Sites, storedShape } from '../graph/sites.ts';
import type { LinearModule, ModelDefinition } from './model.ts';

export type ModelFunctions = Pick<
  ModelDefinition,
  | 'architecture'
  | 'shape'
  | 'objective'
  | 'tokenEmbedding'
  | 'headModules'
  | 'classifier'
  | 'forward'
  | 'output'
> & {
  /** Names besides `otherNames`'s general one: without the prefix that all but the head have. */
  readonly otherNames?: ModelDefinition['otherNames'];
};

export function defineModel(model: ModelFunctions): ModelDefinition {
  return { ...model, ...layoutOf(model), otherNames: otherNamesOf(model) };
}

/** A checkpoint of the bare network has its tensors without the prefix (`h.0.…` for `transformer.h.0.…`), as on the hub for gpt2. */
function otherNamesOf({ tokenEmbedding, otherNames }: ModelFunctions): ModelDefinition['otherNames'] {
  const prefix = `${tokenEmbedding.split('.', 1)[0]}.`;
  return (name) => [
    ...(otherNames?.(name) ?? []),
    ...(name.startsWith(prefix) ? [name.slice(prefix.length)] : []),
  ];
}

type Layout = Pick<ModelDefinition, 'parameters' | 'startAtZero' | 'linears' | 'embeddingScale'>;

function layoutOf(model: ModelFunctions): Layout {
  const graph = new Graph();
  const parameters = new Map<string, readonly number[]>();
  const linears: LinearModule[] = [];
  const scales = new Map<string, number>();
  const startAtZero = new Set<string>();
  const sites = recordingSites(graph, { parameters, startAtZero, linears, scales });
  const hidden = model.forward({
    sites,
    tokens: graph.input('tokens', 'int32', [1, 1]),
    positions: graph.input('positions', 'int32', [1, 1]),
    maxPositions: 1,
    attend: (_layer, q) => q,
    block: (_layer, x, body) => body(x),
  });
  model.output(sites, hidden);
  return { parameters, startAtZero, linears, embeddingScale: scales.get(model.tokenEmbedding) ?? 1 };
}

interface Recorded {
  readonly parameters: Map<string, readonly number[]>;
  readonly startAtZero: Set<string>;
  readonly linears: LinearModule[];
  readonly scales: Map<string, number>;
}

/** Sites that compute nothing: every result is a placeholder of the right shape. */
function recordingSites(graph: Graph, { parameters, startAtZero, linears, scales }: Recorded): Sites {
  return {
    parameter(name, shape, start = name.endsWith('.bias') ? 'zero' : 'one') {
      parameters.set(name, shape);
      if (shape.length === 1 && start === 'zero') startAtZero.add(name);
      return graph.input(name, 'float32', shape);
    },
    linear(x, module, shape) {
      parameters.set(`${module}.weight`, storedShape(shape));
      if (shape.bias) {
        parameters.set(`${module}.bias`, [shape.outFeatures]);
        startAtZero.add(`${module}.bias`);
      }
      linears.push({ module, ...shape });
      return graph.input(`${module}()`, 'float32', [x.shape[0] as number, shape.outFeatures]);
    },
    embedding(ids, module, numEmbeddings, dim, rowScale = 1) {
      scales.set(module, rowScale);
      parameters.set(`${module}.weight`, [numEmbeddings, dim]);
      return graph.input(`${module}()`, 'float32', [ids.shape[0] as number, dim]);
    },
  };
}
