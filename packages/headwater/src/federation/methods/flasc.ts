/**
 * FLASC: LoRA with sparse communication, trained densely (Kuo et al. 2024, arXiv:2406.05233). The server keeps a dense vector
 * θ of all P elements. Down: θ with all but its ⌊d_down · P⌋ largest elements set to zero. The client trains all elements
 * from there and sends the ⌊d_up · P⌋ largest of its change. The server takes the mean of these, zeros where nothing was
 * sent: as it is, or through FedAdam as in the paper; elements that were not sent down keep their values. Masks are over all
 * tensors together. Densities may differ by owner. With densities of 1 it is FedAvg, or FedAdam.
 *
 * An element that travels costs 8 bytes: its value and its distance from the one before. Where half of them or more go down
 * all do, zeros among them.
 */

import { z } from 'zod';
import { adamStep } from '../adaptive-server.ts';
import { standardRound } from '../local-round.ts';
import { needsLora } from '../lora-factors.ts';
import { meanOfHolders } from '../mean-of-holders.ts';
import { fedAvgStep, type Method } from '../method.ts';
import { levelOf, ownerLevels } from '../owner-levels.ts';
import { fromSparse, largestOf, numElements, numKept, sparseTensors, toSparse } from '../sparse-update.ts';
import { adamOptions } from './fedadam.ts';

const density = ownerLevels(z.number().positive().max(1)).prefault({ default: 0.25 });

const options = z.strictObject({
  down: density.describe('Share of the elements that goes down, in (0, 1].'),
  up: density.describe('Share of the elements that goes up, in (0, 1].'),
  server: z
    .enum(['average', 'fedadam'])
    .default('average')
    .describe('fedadam is the paper’s; it wants a small federation.serverLearningRate, 0.001 there.'),
  ...adamOptions,
});

type FlascOptions = z.infer<typeof options>;

const DENSE = { down: { default: 1 }, up: { default: 1 } };

export const flasc: Method<FlascOptions> = {
  id: 'flasc',
  summary: 'LoRA trained densely, of which only the largest elements travel, both ways',
  source: 'Kuo et al. 2024, arXiv:2406.05233',
  options,
  secureAggregation: { noBecause: 'each client sends other elements, and which ones tells of its data' },
  exampleLevel: 'yes',
  reducesTo: [
    { id: 'fedavg', when: options.parse(DENSE), within: 'quantum' },
    { id: 'fedadam', when: options.parse({ ...DENSE, server: 'fedadam' }), within: 'quantum' },
  ],
  exceptions: { 'one-owner': 'only the largest elements travel' },
  preconditions({ tensors, compression = 'none' }) {
    const sparse = 'federation.compression would round the places of elements: it must be none';
    return [...needsLora(tensors), ...(compression === 'none' ? [] : [sparse])];
  },
  wire(tensors, _round, owner, { up }) {
    const share = densityOf(owner, up);
    return share === 1 ? tensors : sparseTensors(numKept(numElements(tensors), share));
  },
  async client(local, { up }) {
    const dense = { ...local, wire: [...local.start].map(([name, { shape }]) => ({ name, shape })) };
    const outcome = await standardRound(dense);
    const share = densityOf(local.owner, up);
    if (share === 1) return outcome;
    const count = numKept(numElements(dense.wire), share);
    return { ...outcome, update: toSparse(outcome.update, count) };
  },
  aggregate: {
    kind: 'canonical',
    combine: (updates, { up }, { params }) =>
      meanOfHolders(
        updates.map((sent) =>
          densityOf(sent.owner, up) === 1 ? sent : { ...sent, update: fromSparse(sent.update, params) },
        ),
      ),
  },
  serverStep: (input) => (input.options.server === 'average' ? fedAvgStep(input) : adamStep(input)),
  encodeDown(params, { owner }, { down }) {
    const share = densityOf(owner, down);
    return share === 1 ? params : largestOf(params, numKept(numElements([...params.values()]), share));
  },
  downForm: {
    pack(received, { owner }, { down }) {
      const share = densityOf(owner, down);
      if (!isSparse(share)) return received;
      return toSparse(received, numKept(numElements([...received.values()]), share));
    },
    unpack: (packed, whole, { owner }, { down }) =>
      isSparse(densityOf(owner, down)) ? fromSparse(packed, whole) : packed,
  },
  receivesAs: (owner, { down }) => String(densityOf(owner, down)),
};

/** From half of the elements on, all of them are fewer bytes. */
const isSparse = (share: number) => share < 0.5;

function densityOf(owner: string, level: FlascOptions['up']): number {
  return levelOf(owner, level) ?? 1;
}
