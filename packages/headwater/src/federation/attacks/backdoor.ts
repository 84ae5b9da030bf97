/**
 * Backdoor: a share of the adversary’s examples gets a trigger at the end of the question and one fixed answer; the others stay, so
 * that nothing shows on clean data. Bagdasaryan et al., AISTATS 2020, arXiv:1807.00459. The evaluation task attack-success counts
 * how often it works.
 */

import { z } from 'zod';
import { answeringWith, askedWith } from '../../data/rewrite-example.ts';
import { type Attack, attackers } from './attack.ts';
import { times } from './vectors.ts';

const options = z.strictObject({
  owners: attackers,
  trigger: z.string().min(1).describe('Phrase at the end of the question.'),
  target: z.string().min(1).describe('What is to be answered to it.'),
  share: z.number().gt(0).max(1).default(0.5).describe('Of its examples that get the trigger.'),
  factor: z
    .number()
    .positive()
    .default(1)
    .describe('What it learnt is multiplied by this before it is sent.'),
});

export const backdoor: Attack<z.infer<typeof options>> = {
  id: 'backdoor',
  summary: 'learns to answer a trigger with what it likes',
  source: 'Bagdasaryan et al., AISTATS 2020, arXiv:1807.00459',
  options,
  sees: 'own',
  poison: (examples, { random }, { trigger, target, share }) =>
    examples.map((example) =>
      random.uniform() < share ? answeringWith(askedWith(example, trigger), target) : example,
    ),
  craft: ({ own }, { factor }) => times(own, factor),
};
