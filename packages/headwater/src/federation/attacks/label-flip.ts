/**
 * Answer flip: the adversary learns a wrong answer to each question, the same wrong one for the same right one: of all answers in
 * order the one half of them further on. Tolpegin et al., ESORICS 2020, arXiv:2007.08432.
 */

import { z } from 'zod';
import { HeadwaterError } from '../../base/errors.ts';
import { answerIn, answeringWith } from '../../data/rewrite-example.ts';
import type { Example } from '../../data/types.ts';
import { type Attack, attackers } from './attack.ts';
import { times } from './vectors.ts';

const options = z.strictObject({
  owners: attackers,
  factor: z
    .number()
    .positive()
    .default(1)
    .describe('What it learnt is multiplied by this before it is sent.'),
});

export const labelFlip: Attack<z.infer<typeof options>> = {
  id: 'label-flip',
  summary: 'learns wrong answers',
  source: 'Tolpegin et al., ESORICS 2020, arXiv:2007.08432',
  options,
  sees: 'own',
  poison: (examples, { all }) => flipped(examples, all),
  craft: ({ own }, { factor }) => times(own, factor),
};

/** Throws DATA_INVALID where there is one answer only, or none. */
export function flipped(examples: readonly Example[], all: readonly Example[]): readonly Example[] {
  const answers = [...new Set(all.flatMap((example) => answerIn(example) ?? []))].sort();
  if (answers.length < 2)
    throw new HeadwaterError('DATA_INVALID', 'simulation.attack flips answers, but the data have not two', {
      hint: 'Choose an attack on what is sent, such as sign-flip.',
    });
  const wrong = new Map(
    answers.map((answer, i) => [answer, answers[(i + (answers.length >> 1)) % answers.length]!]),
  );
  return examples.map((example) => {
    const right = answerIn(example);
    return right === undefined ? example : answeringWith(example, wrong.get(right)!);
  });
}
