/**
 * A shared prompt and one of each owner's own: of P virtual tokens the first P − `personalTokens` are averaged, the others never
 * leave their owner. After SGPT (Deng et al., CVPR 2024, arXiv:2310.18285): shared prompts for what all have in common, others
 * for what differs. There groups of clients share the others, chosen by a key for each input; here a group is one owner, the
 * form that language models can use without image features. `turns`: a whole local training of the shared prompt, then one of
 * the own (SGPT's block coordinates); otherwise both are trained at once.
 */

import { z } from 'zod';
import type { LocalOutcome, LocalRound } from '../local-round.ts';
import { standardRound } from '../local-round.ts';
import type { Method } from '../method.ts';
import { differenceOf, selectParams } from '../params.ts';
import { needsPromptRows, PROMPT_EMBEDDINGS, promptInParts } from '../prompt-tensors.ts';

const options = z.strictObject({
  personalTokens: z
    .int()
    .min(0)
    .default(4)
    .describe('Of the virtual tokens, the last ones: each owner’s own.'),
  turns: z
    .boolean()
    .default(false)
    .describe('Train the shared tokens for localSteps, then the own ones for as many. Default: all at once.'),
});

type Options = z.infer<typeof options>;

const SHARED = `${PROMPT_EMBEDDINGS}.shared`;
const PERSONAL = `${PROMPT_EMBEDDINGS}.personal`;

export const sharedPersonalPrompts: Method<Options> = {
  id: 'shared-personal-prompts',
  summary: 'some virtual tokens are averaged, the others are each owner’s own',
  source: 'after Deng et al., CVPR 2024, arXiv:2310.18285 (SGPT)',
  options,
  secureAggregation: 'yes',
  reducesTo: [{ id: 'fedavg', when: { personalTokens: 0, turns: false } }],
  preconditions: ({ tensors }, { personalTokens }) => {
    if (personalTokens === 0 || tensors.some(({ name }) => name === PERSONAL))
      return needsPromptRows(tensors);
    if (needsPromptRows(tensors).length > 0) return needsPromptRows(tensors);
    return [`personalTokens is ${personalTokens}; the prompt must have more virtual tokens than that`];
  },
  tuning(bound, _layout, { personalTokens }) {
    const matrix = bound.tensors.find(({ name }) => name === PROMPT_EMBEDDINGS);
    const [count = 0, columns = 0] = matrix?.shape ?? [];
    const shared = count - personalTokens;
    if (personalTokens === 0 || shared < 1) return bound;
    const parts = [
      { name: SHARED, row: 0, column: 0, rows: shared, columns },
      { name: PERSONAL, row: shared, column: 0, rows: personalTokens, columns },
    ];
    return promptInParts(bound, { parts: () => parts });
  },
  selectTrainable: ({ name }) => (name === PERSONAL ? 'personal' : 'shared'),
  client: (local, { turns }) => (turns && local.start.has(PERSONAL) ? inTurns(local) : standardRound(local)),
};

async function inTurns(local: LocalRound): Promise<LocalOutcome> {
  const isShared = (name: string) => name !== PERSONAL;
  const shared = selectParams(local.start, isShared);
  const first = await local.train(local.start, { frozen: new Set([PERSONAL]) });
  const second = await local.train(first.params, { frozen: new Set(shared.keys()) });
  return {
    update: differenceOf(selectParams(first.params, isShared), shared),
    personal: selectParams(second.params, (name) => name === PERSONAL),
    stats: first.stats,
  };
}
