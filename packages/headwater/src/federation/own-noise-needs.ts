/** What noise that clients add themselves asks of a run before it starts. Pure. */

import { sizeOf } from '../base/tensor.ts';
import { discreteSumGap } from '../privacy/accounting/discrete-sum.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import type { ClientPrivacy } from './client-privacy.ts';
import { EXACT_INTEGERS, LEAST_PART_STEPS, ownSigma, stepSensitivity, TAIL } from './own-noise.ts';

export interface OwnNoiseFacts {
  readonly privacy: ClientPrivacy;
  /** That travel. */
  readonly tensors: readonly TrainableTensor[];
  readonly quorum: number;
  readonly fractionBits: number;
  readonly range: number;
  readonly masked: boolean;
  readonly compression?: string | undefined;
}

/** As many as let a client's update and its part of the noise stay whole numbers that float32 holds; at least 0. */
export function exactFractionBits(
  { clipNorm, noiseMultiplier }: ClientPrivacy,
  tensors: readonly TrainableTensor[],
  quorum: number,
): number {
  const size = tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const part = { trust: 'distributed', noiseMultiplier, leastShares: quorum } as const;
  for (let fractionBits = MOST_BITS; fractionBits > 0; fractionBits--) {
    const sigma = ownSigma({ ...part, fractionBits }, clipNorm, size);
    if (stepSensitivity(clipNorm, size, fractionBits) + TAIL * sigma <= EXACT_INTEGERS) return fractionBits;
  }
  return 0;
}

const MOST_BITS = 40;

/** √d τ beside Δ₂ that no figure shows: the sum is accounted as the Gaussian. */
const LARGEST_GAP = 1e-12;

/** One sentence for each; none for noise that the coordinator adds. */
export function ownNoiseMistakes(facts: OwnNoiseFacts): string[] {
  const { privacy, masked } = facts;
  const { trust, adaptive, noiseMultiplier } = privacy;
  if (trust === undefined) return [];
  const mistakes: string[] = [];
  if (adaptive !== undefined)
    mistakes.push(
      `privacy.clientLevel with trust: ${trust} cannot count which updates were clipped; use clip.kind: fixed`,
    );
  if (trust === 'distributed' && !masked)
    mistakes.push(
      'privacy.clientLevel with trust: distributed gives each update a part of the noise, which is too little for the update alone; switch privacy.secureAggregation on, or use trust: local',
    );
  if (noiseMultiplier === 0)
    mistakes.push(`privacy.clientLevel with trust: ${trust} needs a noiseMultiplier above 0`);
  return [...mistakes, ...gridMistakes(facts, trust)];
}

function gridMistakes(facts: OwnNoiseFacts, trust: 'local' | 'distributed'): string[] {
  const { privacy, tensors, quorum, fractionBits, range, compression = 'none' } = facts;
  const { clipNorm, noiseMultiplier } = privacy;
  const size = tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const sigma = ownSigma({ trust, noiseMultiplier, leastShares: quorum, fractionBits }, clipNorm, size);
  const reach = stepSensitivity(clipNorm, size, fractionBits) + TAIL * sigma;
  const mistakes: string[] = [];
  if (reach / 2 ** fractionBits > range)
    mistakes.push(
      `an update with its noise reaches ${(reach / 2 ** fractionBits).toPrecision(3)}, past federation.fixedPoint.range (${range}); raise it, or lower clip.norm or noiseMultiplier`,
    );
  if (trust === 'local') return mistakes;
  if (reach > EXACT_INTEGERS)
    mistakes.push(
      `an update with its part of the noise has up to ${reach.toPrecision(3)} steps, more than the ${EXACT_INTEGERS} that float32 holds exactly; set federation.fixedPoint.fractionBits to at most ${fractionBits - Math.ceil(Math.log2(reach / EXACT_INTEGERS))}`,
    );
  const gap = Math.sqrt(size) * discreteSumGap(quorum, sigma);
  if (sigma > 0 && (sigma < LEAST_PART_STEPS || gap > LARGEST_GAP))
    mistakes.push(
      `a client’s part of the noise has a standard deviation of ${sigma.toPrecision(3)} steps, fewer than ${LEAST_PART_STEPS}; raise federation.fixedPoint.fractionBits`,
    );
  if (compression !== 'none')
    mistakes.push('trust: distributed needs federation.compression.kind: none, as masks do');
  return mistakes;
}
