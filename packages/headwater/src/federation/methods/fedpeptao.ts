/**
 * FedPepTAO: prompts in every layer, of which only the layers that matter most travel; the others stay with their owners (Che
 * et al., EMNLP 2023, arXiv:2310.15080). The server keeps momentum over the mean: v ← β v + Δ̄, P ← P + η v.
 *
 * Reconstructed: the first round trains nothing; clients send each layer's share of the squared gradient of their prompts, and the
 * `share` of layers with the largest mean are shared from then on. The paper scores layers from hidden states and takes their
 * number from gaps in the spectrum of the Hessian. Not built: starting the clients' Adam from the server's momentum.
 */

import { z } from 'zod';
import { type Params, type Tensor, tensor } from '../../base/tensor.ts';
import type { TrainableTensor } from '../../tuning/kind.ts';
import type { LocalOutcome, LocalRound } from '../local-round.ts';
import { standardRound } from '../local-round.ts';
import type { Method, ServerStepInput, ServerStepOutput } from '../method.ts';
import { needsRounds } from '../needs.ts';
import { l2Norm, overlaid } from '../params.ts';
import { needsPromptRows, PROMPT_EMBEDDINGS, promptInParts } from '../prompt-tensors.ts';
import { momentumStep } from '../server-momentum.ts';

const options = z.strictObject({
  share: z.number().positive().max(1).default(0.5).describe('Of the layers: whose prompts travel.'),
  momentum: z.number().min(0).lt(1).default(0.9).describe('β of the server.'),
});

type Options = z.infer<typeof options>;

/** Prompts of layers by rank; which layer has which rank is in ORDER, as the difference from its own number. */
const SHARED = `${PROMPT_EMBEDDINGS}.shared-`;
const LOCAL = `${PROMPT_EMBEDDINGS}.local-`;
const ORDER = 'fedpeptao.order';
const SCORES = 'fedpeptao.scores';

export const fedpeptao: Method<Options> = {
  id: 'fedpeptao',
  summary: 'prefixes of the layers that matter most are averaged with server momentum, the others stay local',
  source: 'Che et al., EMNLP 2023, arXiv:2310.15080',
  options,
  secureAggregation: 'yes',
  reducesTo: [{ id: 'fedavg', when: { share: 1, momentum: 0 } }],
  preconditions: (facts, { share }) => [
    ...needsPromptRows(facts.tensors),
    ...(share === 1 ? [] : [...needsPrefix(facts.tensors), ...needsRounds(facts)]),
    ...(share < 1 && facts.rounds < 2
      ? ['it needs two rounds at least: the first one ranks the layers']
      : []),
  ],
  tuning(bound, { shape: { numHiddenLayers } }, { share }) {
    const matrix = bound.tensors.find(({ name }) => name === PROMPT_EMBEDDINGS);
    if (share === 1 || matrix === undefined || bound.virtual?.as !== 'cache') return bound;
    const [rows, width] = matrix.shape as [number, number];
    const columns = width / numHiddenLayers;
    const numShared = Math.max(1, Math.round(share * numHiddenLayers));
    const nameOf = (rank: number) => (rank < numShared ? SHARED : LOCAL) + String(rank).padStart(3, '0');
    const parts = (params: Params) =>
      orderOf(params).map((layer, rank) => ({
        ...{ name: nameOf(rank), row: 0, column: layer * columns },
        ...{ rows, columns },
      }));
    return promptInParts(bound, { parts, beside: [{ name: ORDER, shape: [numHiddenLayers] }] });
  },
  selectTrainable({ name }, round) {
    if (name === ORDER) return 'given';
    if (round === 1 && isPart(name)) return 'frozen';
    return name.startsWith(LOCAL) ? 'personal' : 'shared';
  },
  wire(tensors, round) {
    const order = tensors.find(({ name }) => name === ORDER);
    if (order !== undefined && round === 1) return [{ name: SCORES, shape: order.shape }];
    return tensors.filter(({ name }) => name !== ORDER && !name.startsWith(LOCAL));
  },
  client: (local) =>
    local.round === 1 && local.start.has(ORDER) ? layerScores(local) : standardRound(local),
  serverStep: (input) =>
    input.aggregate.has(SCORES) ? ranked(input) : momentumStep(input, input.options.momentum),
};

function isPart(name: string): boolean {
  return name.startsWith(SHARED) || name.startsWith(LOCAL);
}

function needsPrefix(tensors: readonly TrainableTensor[]): string[] {
  if (needsPromptRows(tensors).length > 0 || tensors.some(({ name }) => name === ORDER)) return [];
  return ['only prefixes have a part in every layer: choose tuning.kind prefix-tuning, or share: 1'];
}

/** The layer of each rank. */
function orderOf(params: Params): number[] {
  return [...params.get(ORDER)!.data].map((difference, rank) => rank + difference);
}

/** Each layer's share of ‖∂L/∂P‖², the mean over the steps' batches; nothing is trained. */
async function layerScores(local: LocalRound): Promise<LocalOutcome> {
  const { start, steps } = local;
  const parts = [...start.keys()].filter(isPart);
  const scores = new Float64Array(parts.length);
  const order = orderOf(start);
  const byRank = (name: string) => Number(name.slice(-3));
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const { loss, grads } = await local.gradients(start, step);
    const squares = parts.map((name) => l2Norm(new Map([[name, grads.get(name)!]])) ** 2);
    const total = squares.reduce((sum, square) => sum + square, 0);
    for (const [i, name] of parts.entries())
      scores[order[byRank(name)]!]! += total === 0 ? 0 : squares[i]! / total / steps;
    losses.push(loss);
  }
  const update = new Map([[SCORES, tensor('float32', [scores.length], Float32Array.from(scores))]]);
  return { update, stats: local.statsOf(losses) };
}

/** The first order of layers; their prompts go to the names of their ranks. */
function ranked({ params, aggregate }: ServerStepInput<Options>): ServerStepOutput {
  const scores = [...aggregate.get(SCORES)!.data];
  const before = orderOf(params);
  const layers = scores.map((_, layer) => layer).sort((a, b) => scores[b]! - scores[a]! || a - b);
  const names = [...params.keys()].filter(isPart).sort((a, b) => Number(a.slice(-3)) - Number(b.slice(-3)));
  const promptOf = (layer: number) => params.get(names[before.indexOf(layer)]!)!;
  const moved = layers.map((layer, rank): [string, Tensor<'float32'>] => [names[rank]!, promptOf(layer)]);
  const order = Float32Array.from(layers, (layer, rank) => layer - rank);
  const next = new Map([...moved, [ORDER, tensor('float32', [order.length], order)] as const]);
  return { params: overlaid(params, next) };
}
