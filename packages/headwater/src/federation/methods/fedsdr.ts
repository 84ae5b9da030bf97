/**
 * FedSDR: self-distillation with a rectifying adapter (arXiv:2605.18028). Once, each client lets the model rewrite its
 * answers, ỹ ~ f(· | c, x, y). Two LoRAs, h = W₀ x + s (B_R A_R + B_S A_S) x: stage 1 trains LoRA-S on the rewritten answers
 * with R frozen, stage 2 trains LoRA-R on the owner's own answers with S frozen. Θ_R ← Θ_R + η Σ p_k ΔΘ_{R,k}; S never
 * travels. A round is two trainings of localSteps each.
 *
 * Reconstructed from a summary of the paper, whose text and code were not at hand: f is the base model with both adapters
 * off; an example is rewritten in the first round that trains on it; the instruction and its place behind the answer; an
 * owner's own model is R with its S, what the run writes is R.
 */

import { z } from 'zod';
import type { Params } from '../../base/tensor.ts';
import { withSecondAdapter } from '../../tuning/second-adapter.ts';
import type { LocalOutcome, LocalRound } from '../local-round.ts';
import type { Method } from '../method.ts';
import { needsAnswers } from '../needs.ts';
import { differenceOf, overlaid, selectParams } from '../params.ts';
import { rewrittenExamples } from '../rewriting.ts';
import { statsOfBoth } from '../training-stats.ts';
import { adapterRole, needsTwoAdapters, secondOf, trainOne, weighted } from '../two-adapters.ts';

const options = z.strictObject({
  rewrite: z
    .strictObject({
      instruction: z
        .string()
        .min(1)
        .default('\n\nThe same answer in other words:\n')
        .describe('c: written behind task and answer, the model goes on from there.'),
      maxNewTokens: z
        .int()
        .positive()
        .default(256)
        .describe('Of a rewritten answer, which is never longer than the owner’s.'),
      temperature: z.number().min(0).default(0).describe('0: the likeliest words.'),
    })
    .prefault({})
    .describe('How clients let the model rewrite their answers.'),
  adapterS: z
    .enum(['kept', 'fresh'])
    .default('kept')
    .describe('LoRA-S goes on from round to round, or begins anew in each.'),
  scoreWith: z
    .enum(['personal', 'global'])
    .default('personal')
    .describe('Owners are scored with R and their S, or with R alone, which is what the run writes.'),
});

type FedSdrOptions = z.infer<typeof options>;

export const fedsdr: Method<FedSdrOptions> = {
  id: 'fedsdr',
  summary: 'a local LoRA takes in what self-distilled answers teach, the shared one what they get wrong',
  source: 'FedSDR, ICML 2026, arXiv:2605.18028',
  options,
  secureAggregation: 'yes',
  exceptions: {
    'one-owner': 'an owner uses an adapter of its own, and the server what is left of the updates',
  },
  preconditions: (facts) => [
    ...needsTwoAdapters(facts.tensors),
    ...needsAnswers(facts, 'this method has the model write each answer anew'),
  ],
  tuning: (bound) => withSecondAdapter(bound, 'outputs'),
  selectTrainable: adapterRole,
  async client(local, given) {
    const { examples, answers } = await rewrittenExamples(
      local.writing,
      weighted(local.start, 0, 0),
      local.examples,
      given.rewrite,
      local.memory,
    );
    const both = weighted(local.start, 1, 1);
    const first = await trainOne(local, both, 'second', { examples });
    const second = await trainOne(local, first.params, 'first');
    return {
      ...outcomeOf(local, second.params, given),
      memory: answers,
      stats: statsOfBoth(first.stats, second.stats),
    };
  },
  ownParams: (params, { personal }, { scoreWith }) =>
    scoreWith === 'global' ? params : weighted(overlaid(params, personal), 1, 1),
};

function outcomeOf(
  { start, wire }: LocalRound,
  after: Params,
  { adapterS }: FedSdrOptions,
): Pick<LocalOutcome, 'update' | 'personal'> {
  const travels = new Set(wire.map(({ name }) => name));
  const sent = (of: Params) => selectParams(of, (name) => travels.has(name));
  return {
    update: differenceOf(sent(after), sent(start)),
    personal: adapterS === 'kept' ? secondOf(after) : secondOf(start),
  };
}
