/** Teacher-forced scores and whole logits as graphs, without gradients and dropout. */

import { targetLogProbs } from '../../graph/cross-entropy.ts';
import { likeliest } from '../../graph/distillation.ts';
import { Graph } from '../../graph/ir.ts';
import { logitsOf } from '../../graph/projection.ts';
import type { BoundTuning } from '../../tuning/kind.ts';
import type { DistributionOptions } from '../teacher.ts';
import {
  network,
  type ProgramModel,
  positionsBelow,
  type SequenceShape,
  sequenceAttention,
  sequenceInputs,
  targets,
} from './model-graph.ts';
import type { TargetShape } from './train.ts';

/** Inputs as `trainProgram` without weights. Outputs: `nll` [M] and `argMax` int32 [M]. */
export function scoreProgram(model: ProgramModel, tuning: BoundTuning, shape: TargetShape): Graph {
  const { graph, net } = evaluation(model, tuning, shape);
  const { projection, ids } = targets(graph, net, shape.numSlots);
  const { nll, argMax } = targetLogProbs(projection, ids);
  graph.output('nll', nll);
  graph.output('argMax', argMax);
  return graph;
}

/** Inputs as `scoreProgram`. Outputs as `likeliest` names them: `ids` int32 [M, k], `probabilities` [M, k], `nll` [M]. */
export function likeliestProgram(
  model: ProgramModel,
  tuning: BoundTuning,
  shape: TargetShape,
  { topK: k, temperature }: DistributionOptions,
): Graph {
  const { graph, net } = evaluation(model, tuning, shape);
  const { projection, ids } = targets(graph, net, shape.numSlots);
  const found = likeliest(projection, ids, { k, temperature });
  graph.output('ids', found.ids);
  graph.output('probabilities', found.probabilities);
  graph.output('nll', found.nll);
  return graph;
}

/** Inputs: tokens, positions, segments int32 [B, T] and the trained tensors. Output: `logits` [B·T, V]. */
export function logitsProgram(model: ProgramModel, tuning: BoundTuning, shape: SequenceShape): Graph {
  const { graph, net } = evaluation(model, tuning, shape);
  graph.output('logits', logitsOf(net.output(net.hidden)));
  return graph;
}

function evaluation(model: ProgramModel, tuning: BoundTuning, shape: SequenceShape) {
  const graph = new Graph();
  const inputs = sequenceInputs(graph, shape);
  const segments = graph.input('segments', 'int32', [shape.batchSize, shape.length]);
  const mode = { training: false, maxPositions: positionsBelow(tuning, shape.length) };
  const attend = sequenceAttention(segments, inputs, tuning);
  return { graph, net: network(graph, model, tuning, inputs, attend, mode) };
}
