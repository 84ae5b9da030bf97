/**
 * ChainFed: adapters are trained as a chain (arXiv:2604.06819). A window of Q adjacent blocks moves up by one block a round,
 * and begins again behind the last. Only the window's adapters are trained and travel. Blocks below it are computed without
 * being differentiated, blocks above it not at all: L = L_local + λ L_global, L_local with the output head on the window's
 * last block, L_global with the adapters of the blocks above, without these blocks, before the head. A client keeps the
 * activations of Q blocks. Q = all blocks with λ = 0 is training end to end. Down go all adapters that the client computes
 * with: it keeps none from round to round.
 *
 * Reconstructed from notes on the paper, whose text and code were not at hand: adapters above the window act on the hidden
 * states that the window leaves (which needs bottleneck adapters); L_global's gradient is taken without dropout; where the
 * window ends at the last block both losses are one, and L_local alone is used; the head is the model's own. Not
 * reproduced: the choice of the lowest block by its similarity to the input (CKA); `firstBlock` sets it by hand.
 */

import { z } from 'zod';
import type { Params } from '../../base/tensor.ts';
import type { PartOfNetwork } from '../../training/pass.ts';
import type { TrainableTensor } from '../../tuning/kind.ts';
import { adaptedLayers, layerOf } from '../adapted-layers.ts';
import { type LocalRound, type LocalTask, standardRound } from '../local-round.ts';
import type { Method } from '../method.ts';
import { needsAnswers, needsRounds } from '../needs.ts';
import { scaled, selectParams } from '../params.ts';

const options = z.strictObject({
  window: z
    .union([z.int().positive(), z.literal('all')])
    .default(2)
    .describe('Q: adjacent blocks that are trained together.'),
  lambda: z.number().min(0).default(0.2).describe('λ: weight of the loss through the adapters above.'),
  firstBlock: z.int().nonnegative().default(0).describe('Adapters below this block are never trained.'),
});

type ChainFedOptions = z.infer<typeof options>;

export const chainfed: Method<ChainFedOptions> = {
  id: 'chainfed',
  summary: 'a window of a few blocks at a time, without the blocks above: little memory, few bytes',
  source: 'ChainFed, ACL 2026, arXiv:2604.06819',
  options,
  secureAggregation: 'yes',
  reducesTo: [{ id: 'fedavg', when: { window: 'all', lambda: 0, firstBlock: 0 } }],
  preconditions(facts, { lambda, firstBlock, window }) {
    const { tensors } = facts;
    const layers = adaptedLayers(tensors).filter((layer) => layer >= firstBlock);
    if (layers.length === 0)
      return [`no block from ${firstBlock} on has trained tensors; choose tuning.kind adapter or lora`];
    const isWhole = window === 'all' || window >= layers.length;
    const mistakes = [
      ...needsRounds(facts),
      ...(isWhole
        ? []
        : needsAnswers(facts, 'a window of blocks says nothing next to the whole network of the reference')),
    ];
    const passesBy = tensors.some(({ name }) => name.includes('.adapter_down.'));
    if (lambda === 0 || passesBy || isWhole) return mistakes;
    return [
      ...mistakes,
      'lambda above 0 lets the adapters above the window act without their blocks, which only tuning.kind adapter can; set lambda: 0 for others',
    ];
  },
  wire: (tensors, round, _owner, given) => inWindow(tensors, windowOf(tensors, round, given)),
  receivesAs: () => 'all',
  encodeDown(params, { round }, given) {
    if (given.lambda > 0) return params;
    const { end = Infinity } = windowOf(named(params), round, given);
    return selectParams(params, (name) => (layerOf({ name }) ?? 0) <= end);
  },
  client(local, given) {
    const tensors = named(local.start);
    const window = windowOf(tensors, local.round, given);
    const trained = new Set(inWindow(tensors, window).map(({ name }) => name));
    const frozen = new Set(tensors.flatMap(({ name }) => (trained.has(name) ? [] : [name])));
    return standardRound(local, { frozen, ...coTuning(local, window, frozen, given) });
  },
};

function named(params: Params): TrainableTensor[] {
  return [...params].map(([name, { shape }]) => ({ name, shape }));
}

interface Window {
  readonly layers: ReadonlySet<number>;
  /** Last block that is computed; undefined: the network's last. */
  readonly end: number | undefined;
}

/** Of the adapted blocks b₀ < b₁ < … from `firstBlock` on: b_s … b_{s+Q−1}, s = (round − 1) mod (n − Q + 1). */
function windowOf(
  tensors: readonly TrainableTensor[],
  round: number,
  { window, firstBlock }: ChainFedOptions,
): Window {
  const layers = adaptedLayers(tensors).filter((layer) => layer >= firstBlock);
  const width = window === 'all' ? layers.length : Math.min(window, layers.length);
  const start = (round - 1) % (layers.length - width + 1);
  const chosen = layers.slice(start, start + width);
  return { layers: new Set(chosen), end: start + width === layers.length ? undefined : chosen.at(-1) };
}

/** What lies in no block (a head) is trained in every round. */
function inWindow(tensors: readonly TrainableTensor[], { layers }: Window): TrainableTensor[] {
  return tensors.filter((tensor) => {
    const layer = layerOf(tensor);
    return layer === undefined || layers.has(layer);
  });
}

function coTuning(
  local: LocalRound,
  { end }: Window,
  frozen: ReadonlySet<string>,
  { lambda }: ChainFedOptions,
): Pick<LocalTask, 'part' | 'extraGradient'> {
  if (end === undefined) return {};
  const part: PartOfNetwork = { skipped: new Set(), skippedFrom: end + 1 };
  if (lambda === 0) return { part };
  const branch: PartOfNetwork = { ...part, bypass: true };
  return {
    part,
    async extraGradient(params, examples) {
      const { grads } = await local.gradientsOn(params, examples, { frozen, part: branch });
      return scaled(grads, lambda);
    },
  };
}
