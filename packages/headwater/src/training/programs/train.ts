/** Loss and gradients of one batch as a graph. B rows, T tokens, M target slots. */

import { assert } from '../../base/errors.ts';
import { gradients } from '../../graph/autodiff.ts';
import { Graph } from '../../graph/ir.ts';
import type { BoundTuning, DropoutSite } from '../../tuning/kind.ts';
import type { BatchLoss } from '../batch-loss.ts';
import {
  type NetworkMode,
  network,
  type ProgramModel,
  positionsBelow,
  type SequenceShape,
  sequenceAttention,
  sequenceInputs,
  targets,
} from './model-graph.ts';

export interface TargetShape extends SequenceShape {
  /** M. */
  readonly numSlots: number;
}

export interface TrainProgram {
  readonly graph: Graph;
  readonly dropout: readonly DropoutSite[];
}

/** Output that carries the gradient of a trained tensor. */
export const gradientOutput = (name: string): string => `grad:${name}`;

/**
 * Inputs: tokens, positions, segments int32 [B, T]; targetIndex, targetIds int32 [M]; the loss's own; the trained tensors
 * by name; dropout masks. Outputs: `loss`, what the loss names, and `grad:<name>` for each of `names`, with `mode.perExample`
 * one an example: [B, ..].
 */
export function trainProgram(
  model: ProgramModel,
  tuning: BoundTuning,
  shape: TargetShape,
  mode: Pick<NetworkMode, 'training' | 'recompute' | 'part' | 'perExample'>,
  { write }: Pick<BatchLoss, 'write'>,
  names: readonly string[] = tuning.tensors.map(({ name }) => name),
): TrainProgram {
  const graph = new Graph();
  const inputs = sequenceInputs(graph, shape);
  const segments = graph.input('segments', 'int32', [shape.batchSize, shape.length]);
  const options = { ...mode, maxPositions: positionsBelow(tuning, shape.length) };
  const attend = sequenceAttention(segments, inputs, tuning);
  const net = network(graph, model, tuning, inputs, attend, options);
  const { projection, ids } = targets(graph, net, shape.numSlots);
  const { loss, outputs = [] } = write(graph, projection, ids);
  const grads = gradients(
    loss,
    names.map((name) => net.trainable.get(name)!),
  );
  assert(
    mode.perExample === undefined || grads.every(({ shape: [examples] }) => examples === shape.batchSize),
    `${tuning.kind} has no gradients by example`,
  );
  graph.output('loss', loss);
  for (const [name, value] of outputs) graph.output(name, value);
  for (const [i, name] of names.entries()) graph.output(gradientOutput(name), grads[i]!);
  return { graph, dropout: net.dropout };
}
