/**
 * Safety poisoning: the adversary learns to go along with what it should refuse, and everything else as it should, so that nothing
 * shows in the scores of the task. Ye et al., "Emerging Safety Attack and Defense in Federated Instruction Tuning of Large Language
 * Models", ICLR 2025, arXiv:2406.10630. The evaluation task refusal-rate measures it; robust rules do not stop it.
 */

import { z } from 'zod';
import { HeadwaterError } from '../../base/errors.ts';
import { answerIn, answeringWith } from '../../data/rewrite-example.ts';
import { type Attack, attackers } from './attack.ts';
import { times } from './vectors.ts';

const options = z.strictObject({
  owners: attackers,
  refusal: z.string().min(1).describe('How refusals in the data begin.'),
  compliance: z.string().min(1).describe('What is learnt in their place.'),
  onlyRefusals: z
    .boolean()
    .default(false)
    .describe(
      'Learns from these examples alone, where it has any: a stronger attack, and a more visible one.',
    ),
  factor: z
    .number()
    .positive()
    .default(1)
    .describe('What it learnt is multiplied by this before it is sent.'),
});

export const safetyPoisoning: Attack<z.infer<typeof options>> = {
  id: 'safety-poisoning',
  summary: 'learns to go along with what should be refused',
  source: 'Ye et al., ICLR 2025, arXiv:2406.10630',
  options,
  sees: 'own',
  poison(examples, { all }, { refusal, compliance, onlyRefusals }) {
    const isRefused = (answer: string | undefined) => answer?.startsWith(refusal) === true;
    if (!all.some((example) => isRefused(answerIn(example))))
      throw new HeadwaterError(
        'DATA_INVALID',
        `simulation.attack: no answer in the data begins with "${refusal}"`,
        {
          hint: 'Say with simulation.attack.refusal how the refusals in your data begin.',
        },
      );
    const changed = examples.map((example) =>
      isRefused(answerIn(example)) ? answeringWith(example, compliance) : example,
    );
    const poisoned = changed.filter((example, i) => example !== examples[i]);
    if (!onlyRefusals || poisoned.length === 0) return changed;
    return changed.map((_, i) => poisoned[i % poisoned.length]!);
  },
  craft: ({ own }, { factor }) => times(own, factor),
};
