/** What people should make of an audit, in plain words; printed under its figures. It computes nothing. */

import { wrapped } from '../show-comparison.ts';
import { paint } from '../style.ts';

export const GUIDANCE = {
  span: [
    'Tokens counted as found lie in the space that the update spans, and no other token does: a curious server reads them off. This is one attack of several; newer ones recover more. That it finds little is no proof of safety.',
    'An update that is one step on few tokens gives all of them away. What helps: many local steps on many examples, secure aggregation over at least 8 owners (the server sees sums only), differential privacy. Noise as long as the gradient does not stop this attack while there are no more tokens than the rank.',
    'Fresh LoRA begins with B = 0, so the very first step changes B alone. A server that hands out changed base weights can see more: clients check the digest of the model and of each release that the operator signed.',
  ],
  canary: [
    'Exposure is log₂ of the number of secrets that were tried over the rank of the planted one. 0 is what chance gives; the largest possible figure says that the planted secret is the likeliest of all, so that whoever has the adapter can find it by trying.',
    'What helps: leave the secret out of the data, fewer passes over it, differential privacy at the level that holds the secret (example or client).',
  ],
  membership: [
    'AUC 0.5 is guessing. The share of members found at 1 % false alarms matters more than AUC: a few people found with certainty are a breach even where the mean says nothing.',
    'An interval that holds 0.5 (or 1 %) shows no leak by these four attacks on this many examples; it does not show that there is none. What helps: fewer passes over the data, smaller ranks, differential privacy at example level.',
  ],
  oneRun: [
    'The lower bound is refuted with 95 % confidence: the mechanism cannot be more private than it says. It must be below the ε that is reported; one run finds a part of what there is, so a low bound is no proof that ε could be claimed smaller.',
    'The same with --without-noise must come out above the reported ε: that shows that the audit can see at all.',
  ],
} as const;

export function printGuidance(kind: keyof typeof GUIDANCE): void {
  console.log('');
  for (const line of GUIDANCE[kind]) console.log(paint.dim(wrapped(line)));
}
