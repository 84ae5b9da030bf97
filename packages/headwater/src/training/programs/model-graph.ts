/** The part that all programs share: sequence inputs, the network under a tuning kind, rows that reach the vocabulary. */

import type { Graph, Value } from '../../graph/ir.ts';
import { gather } from '../../graph/ops/index.ts';
import { baseSites } from '../../models/base-sites.ts';
import type { Attend, Model } from '../../models/model.ts';
import type { BoundTuning, Wrapped } from '../../tuning/kind.ts';

/** What a program needs of a model: its network and the stored dtypes of its weights. */
export type ProgramModel = Pick<Model, 'definition' | 'storedTypes'>;

export interface SequenceShape {
  readonly batchSize: number;
  readonly length: number;
}

export interface SequenceInputs {
  /** int32 [B, T]. */
  readonly tokens: Value;
  readonly positions: Value;
}

export interface Network extends Wrapped {
  /** Final hidden states [B·T, D]. */
  readonly hidden: Value;
  /** [V, D]. */
  readonly vocabulary: Value;
}

export function sequenceInputs(graph: Graph, { batchSize, length }: SequenceShape): SequenceInputs {
  const input = (name: string) => graph.input(name, 'int32', [batchSize, length]);
  return { tokens: input('tokens'), positions: input('positions') };
}

/** `maxPositions`: positions fed stay below it. `training` switches dropout on. */
export function network(
  graph: Graph,
  model: ProgramModel,
  tuning: BoundTuning,
  inputs: SequenceInputs,
  attend: Attend,
  mode: { readonly training: boolean; readonly maxPositions: number },
): Network {
  const wrapped = tuning.wrap(graph, baseSites(graph, model), mode);
  const { maxPositions } = mode;
  const hidden = model.definition.forward({ ...inputs, sites: wrapped.sites, attend, maxPositions });
  return { ...wrapped, hidden, vocabulary: model.definition.vocabulary(wrapped.sites) };
}

/** The M hidden rows that predict targets, [M, D]: nothing else is multiplied with the vocabulary. */
export function targetRows(graph: Graph, hidden: Value, numSlots: number): { rows: Value; ids: Value } {
  const input = (name: string) => graph.input(name, 'int32', [numSlots]);
  return { rows: gather(hidden, input('targetIndex'), 0), ids: input('targetIds') };
}
