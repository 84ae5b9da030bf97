/**
 * FedDPA: beside the global LoRA, which is averaged, each owner has a local one that never travels (Yang et al., NeurIPS
 * 2024, arXiv:2403.19211). The owner's network: y + (1 − w) δ_global + w δ_local. `together` (FedDPA-T): in each round the
 * local adapter is trained with the global one frozen, then the global one alone, a round of 2 · localSteps. `afterwards`
 * (FedDPA-F): `globalRounds` of FedAvg, then rounds in which only local adapters learn and nothing travels.
 *
 * Not reproduced: the paper sets w for every input, w_max times the mean cosine between its last hidden state and those of
 * five training prompts. Here w is one number; local adapters are trained in the mixture in which they are used.
 */

import { z } from 'zod';
import { isSecondFactor, withSecondAdapter } from '../../tuning/second-adapter.ts';
import { type LocalOutcome, type LocalRound, standardRound } from '../local-round.ts';
import type { Method } from '../method.ts';
import { needsRounds } from '../needs.ts';
import { overlaid } from '../params.ts';
import { statsOfBoth } from '../training-stats.ts';
import { adapterRole, needsTwoAdapters, secondOf, trainOne, weighted } from '../two-adapters.ts';

const options = z.strictObject({
  localWeight: z.number().min(0).max(1).default(0.5).describe('w: how much of the local adapter.'),
  order: z.enum(['together', 'afterwards']).default('together').describe('FedDPA-T, FedDPA-F.'),
  globalRounds: z.int().positive().optional().describe('afterwards: rounds of the global adapter.'),
});

type FedDpaOptions = z.infer<typeof options>;

export const feddpa: Method<FedDpaOptions> = {
  id: 'feddpa',
  summary: 'a global LoRA for all and a local one at each owner, mixed at inference',
  source: 'Yang et al., NeurIPS 2024, arXiv:2403.19211',
  options,
  secureAggregation: 'yes',
  reducesTo: [{ id: 'fedavg', when: { localWeight: 0, order: 'together' } }],
  exceptions: { 'one-owner': 'an owner uses an adapter of its own beside the global one' },
  preconditions(facts, { order, globalRounds }) {
    const { tensors, rounds } = facts;
    const mistakes = [...needsTwoAdapters(tensors), ...(order === 'together' ? [] : needsRounds(facts))];
    if (order === 'together')
      return globalRounds === undefined
        ? mistakes
        : [...mistakes, 'globalRounds is for order: afterwards; together trains both in every round'];
    if (globalRounds !== undefined && globalRounds < rounds) return mistakes;
    return [...mistakes, `order: afterwards needs globalRounds below the ${rounds} rounds of the run`];
  },
  tuning: (bound) => withSecondAdapter(bound, 'outputs'),
  selectTrainable(tensor, round, given) {
    const role = adapterRole(tensor);
    return role === 'shared' && !trainsGlobal(round, given) ? 'frozen' : role;
  },
  client: (local, given) => (given.order === 'together' ? together(local, given) : afterwards(local, given)),
  ownParams: (params, { personal }, { localWeight: w }) => weighted(overlaid(params, personal), 1 - w, w),
};

function trainsGlobal(round: number, { order, globalRounds = 0 }: FedDpaOptions): boolean {
  return order === 'together' || round <= globalRounds;
}

async function together(local: LocalRound, given: FedDpaOptions): Promise<LocalOutcome> {
  if (given.localWeight === 0) return globalRound(local);
  const own = await localRound(local, given);
  const outcome = await globalRound(local);
  return { ...outcome, personal: own.personal!, stats: statsOfBoth(own.stats, outcome.stats) };
}

function afterwards(local: LocalRound, given: FedDpaOptions): Promise<LocalOutcome> {
  return trainsGlobal(local.round, given) ? globalRound(local) : localRound(local, given);
}

/** FedAvg's: the weights are 1 and 0 in what everybody receives. */
function globalRound(local: LocalRound): Promise<LocalOutcome> {
  const frozen = new Set([...local.start.keys()].filter(isSecondFactor));
  return standardRound(local, { frozen });
}

/** Sends nothing. */
async function localRound(local: LocalRound, { localWeight: w }: FedDpaOptions): Promise<LocalOutcome> {
  const { params, stats } = await trainOne(local, weighted(local.start, 1 - w, w), 'second');
  return { update: new Map(), personal: secondOf(params), stats };
}
