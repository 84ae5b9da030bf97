/**
 * Fed-SB: LoRA-SB in a federation (Singhal et al. 2025, arXiv:2502.15436; LoRA-SB: Ponkshe et al. 2024, arXiv:2411.19557):
 * y = x W₀ᵀ + s · x (B R A)ᵀ with A and B fixed, AAᵀ = I, BᵀB = I. Only R [r, r] is trained and travels, and its mean is
 * exact: Σ p_k B R_k A = B R̄ A. Bytes: Σ r², whatever the width of the modules.
 *
 * `start` says where A and B come from. `gradient`: in round 1 clients send sketches of the gradient G of the dense weight at
 * the base, G Ω₁ᵀ and Ω₂ᵀ G with common random Ω; A and B are orthonormal bases of the rows and columns of their mean
 * (range finder of Halko, Martinsson & Tropp 2011), are sent down once in round 2, and training begins there. `base`: leading
 * singular vectors of W₀ (LoRA-XS). `random`: a draw. R starts at 0, so the network starts as its base.
 *
 * Reconstructed: the paper takes the SVD of one AdamW step of full training, −η sign(G), and starts R at its singular values;
 * here it is G's own subspace, and R's first step goes along its singular values.
 */

import { z } from 'zod';
import { rng } from '../../base/random.ts';
import { type Params, type Tensor, zeros } from '../../base/tensor.ts';
import type { BoundTuning, ModelLayout, TrainableTensor } from '../../tuning/kind.ts';
import { baseMatrix } from '../base-matrix.ts';
import { coreNames, gaussian, isCore, isFixedFactor, withCores } from '../fixed-factors.ts';
import { leadingSvd } from '../leading-svd.ts';
import { Matrix, matrixOf, svd, tensorOf } from '../linear-algebra.ts';
import { type LocalOutcome, type LocalRound, standardRound } from '../local-round.ts';
import { needsLora } from '../lora-factors.ts';
import { fedAvgStep, type Method } from '../method.ts';
import { needsRounds } from '../needs.ts';
import { addScaled, overlaid, scaled, selectParams, sortedParams } from '../params.ts';
import type { TensorRole } from '../tensor-role.ts';

const options = z.strictObject({
  start: z
    .enum(['gradient', 'base', 'random'])
    .default('gradient')
    .describe('Where the fixed factors come from.'),
});

type FedSbOptions = z.infer<typeof options>;

export const fedSb: Method<FedSbOptions> = {
  id: 'fed-sb',
  summary: 'LoRA with fixed factors: only small cores are trained and averaged, exactly',
  source: 'Singhal et al., TMLR 2026, arXiv:2502.15436',
  options,
  secureAggregation: 'yes',
  preconditions(facts, { start }) {
    const mistakes = [...needsLora(facts.tensors.map(asLora)), ...needsRounds(facts)];
    return start === 'gradient' && facts.rounds < 2
      ? [...mistakes, 'start: gradient takes a round of its own: it needs two rounds at least']
      : mistakes;
  },
  tuning: (bound, layout, { start }) => fromBase(withCores(bound), layout, start),
  selectTrainable: ({ name }, round, given) => roleOf(name, round, given),
  wire: (tensors, round, _owner, given) =>
    sketches(round, given)
      ? tensors.filter(({ name }) => isFixedFactor(name))
      : tensors.filter(({ name }) => roleOf(name, round, given) === 'shared'),
  client: (local, given) => (sketches(local.round, given) ? sketchRound(local) : standardRound(local)),
  receivesAs: () => 'all',
  encodeDown: (params, { round }, given) =>
    sketches(round, given) ? selectParams(params, (name) => !isFixedFactor(name)) : params,
  serverStep: (input) =>
    sketches(input.round, input.options)
      ? { params: overlaid(input.params, subspaces(input.aggregate)) }
      : fedAvgStep(input),
  trainedAlone: ({ name }) => !isFixedFactor(name),
};

const sketches = (round: number, { start }: FedSbOptions) => start === 'gradient' && round === 1;

function roleOf(name: string, round: number, given: FedSbOptions): TensorRole {
  if (isFixedFactor(name)) return given.start === 'gradient' && round <= 2 ? 'given' : 'frozen';
  return sketches(round, given) ? 'frozen' : 'shared';
}

/** Cores stand for LoRA’s factors, which the tuning does not hold. */
function asLora({ name, shape }: TrainableTensor): TrainableTensor {
  return { name: isCore(name) ? name.replace('.lora_sb_R.', '.lora_A.') : name, shape };
}

function fromBase(tuning: BoundTuning, layout: ModelLayout, start: FedSbOptions['start']): BoundTuning {
  const { factors } = tuning;
  if (start !== 'base' || factors === undefined) return tuning;
  return {
    ...tuning,
    async init(random, baseValue, encode) {
      const fresh = await tuning.init(random, baseValue, encode);
      const own: [string, Tensor<'float32'>][] = [];
      for (const { a: factorA, module } of factors) {
        const { a, b } = coreNames(factorA);
        const { u, v } = leadingSvd(await baseMatrix(module, layout, baseValue), fresh.get(a)!.shape[0]!);
        own.push([a, tensorOf(v.transpose())], [b, tensorOf(u)]);
      }
      return sortedParams([...fresh, ...own]);
    },
  };
}

/** Both sketches from the round's batches: with R = I, ∂B at B = 0 is s G Ω₁ᵀ, and ∂A at A = 0 is s Ω₂ᵀ G. */
async function sketchRound(local: LocalRound): Promise<LocalOutcome> {
  const left = probe(local.start, 'B');
  const right = probe(local.start, 'A');
  const losses: number[] = [];
  let sum: Params | undefined;
  for (let step = 0; step < local.steps; step++) {
    const { loss, grads } = await local.gradients(left, step);
    const other = (await local.gradients(right, step)).grads;
    losses.push(loss);
    const both = new Map([
      ...selectParams(grads, (name) => name.endsWith('.lora_sb_B.weight')),
      ...selectParams(other, (name) => name.endsWith('.lora_sb_A.weight')),
    ]);
    sum = sum === undefined ? both : addScaled(sum, both, 1);
  }
  return { update: sortedParams(scaled(sum!, 1 / local.steps)), stats: local.statsOf(losses) };
}

/** The base's function with `zeroed` factors at 0, the others at Ω, cores at I. Ω is the same for everybody. */
function probe(params: Params, zeroed: 'A' | 'B'): Params {
  return new Map(
    [...params].map(([name, value]) => {
      const [rows, columns] = value.shape as [number, number];
      if (isCore(name)) return [name, tensorOf(Matrix.eye(rows))];
      if (!isFixedFactor(name)) return [name, value];
      if (name.endsWith(`.lora_sb_${zeroed}.weight`)) return [name, zeros('float32', value.shape)];
      return [name, tensorOf(gaussian(rows, columns, rng('fed-sb', name)))];
    }),
  );
}

/** Orthonormal columns and rows that span the sketches; a sketch of zeros changes nothing. */
function subspaces(sketch: Params): Params {
  const found = [...sketch].filter(([, { data }]) => data.some((x) => x !== 0));
  return new Map(
    found.map(([name, value]) => {
      const rows = name.endsWith('.lora_sb_A.weight');
      const { u } = svd(rows ? matrixOf(value).transpose() : matrixOf(value));
      return [name, tensorOf(rows ? u.transpose() : u)];
    }),
  );
}
