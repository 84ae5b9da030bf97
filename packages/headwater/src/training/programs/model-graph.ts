/** The part that all programs share: sequence inputs, the network under a tuning kind, rows that reach the vocabulary. */

import type { Graph, Value } from '../../graph/ir.ts';
import { gather } from '../../graph/ops/index.ts';
import type { Projection } from '../../graph/projection.ts';
import { recomputed } from '../../graph/recompute.ts';
import { baseSites } from '../../models/base-sites.ts';
import type { Attend, Block, Model } from '../../models/model.ts';
import type { BoundTuning, WrapMode, Wrapped } from '../../tuning/kind.ts';
import { isSkipped, type PartOfNetwork } from '../pass.ts';
import { segmentAttention } from './attention.ts';

/** What a program needs of a model: its network, and how its weights are stored. */
export type ProgramModel = Pick<Model, 'definition' | 'storedTypes' | 'quantized'>;

export interface SequenceShape {
  readonly batchSize: number;
  readonly length: number;
}

export interface SequenceInputs {
  /** int32 [B, T]. */
  readonly tokens: Value;
  readonly positions: Value;
  /** int32 [B], see ForwardInputs. */
  readonly reach?: Value;
}

export interface Network extends Wrapped {
  /** Final hidden states [B·T, D]. */
  readonly hidden: Value;
  /** From rows of `hidden` to logits. */
  readonly output: (rows: Value) => Projection;
}

export function sequenceInputs(graph: Graph, { batchSize, length }: SequenceShape): SequenceInputs {
  const input = (name: string) => graph.input(name, 'int32', [batchSize, length]);
  return { tokens: input('tokens'), positions: input('positions') };
}

/** Attention of whole sequences, with the keys and values that the kind puts before them. */
export function sequenceAttention(
  segments: Value,
  { positions }: SequenceInputs,
  { virtual }: BoundTuning,
): (wrapped: Wrapped) => Attend {
  return ({ prefix }) =>
    segmentAttention(
      segments,
      prefix === undefined || virtual === undefined
        ? undefined
        : { count: virtual.count, of: prefix, positions },
    );
}

/** Positions of sequences of T rows stay below this. */
export function positionsBelow({ virtual }: BoundTuning, length: number): number {
  return virtual?.as === 'cache' ? length + virtual.count : length;
}

export interface NetworkMode extends WrapMode {
  /** Positions fed stay below it. */
  readonly maxPositions: number;
  /** The backward pass computes the inside of each block again instead of keeping it. */
  readonly recompute?: boolean;
  /** Omitted: the whole. */
  readonly part?: PartOfNetwork | undefined;
}

export function network(
  graph: Graph,
  model: ProgramModel,
  tuning: BoundTuning,
  inputs: SequenceInputs,
  attendIn: (wrapped: Wrapped) => Attend,
  mode: NetworkMode,
): Network {
  const wrapped = tuning.wrap(graph, baseSites(graph, model), mode);
  const { maxPositions, recompute = false, part } = mode;
  const { sites } = wrapped;
  const attend = attendIn(wrapped);
  const block: Block = (layer, x, body) => {
    if (part !== undefined && isSkipped(layer, part)) return (part.bypass && wrapped.bypass?.(layer, x)) ?? x;
    return recompute ? recomputed(x, body) : body(x);
  };
  const hidden = model.definition.forward({ ...inputs, sites, attend, maxPositions, block });
  return { ...wrapped, hidden, output: (rows) => model.definition.output(sites, rows) };
}

/** The M hidden rows that predict targets, [M, D]: nothing else is multiplied with the vocabulary. */
export function targets(
  graph: Graph,
  { hidden, output }: Network,
  numSlots: number,
): { projection: Projection; ids: Value } {
  const input = (name: string) => graph.input(name, 'int32', [numSlots]);
  return { projection: output(gather(hidden, input('targetIndex'), 0)), ids: input('targetIds') };
}
