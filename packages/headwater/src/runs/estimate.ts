/**
 * What a run will take, before anything starts: bytes, steps and tokens from the plan (bytes exactly, since tensors decide
 * them), time from a stated speed, memory from shapes, cost from prices. Pure; whoever asks has opened model and data.
 */

import { sizeBytes } from '../base/tensor.ts';
import type { BoundCompression } from '../federation/compression/compression.ts';
import { encodedUpdateBytes } from '../federation/compression/encode.ts';
import { plain } from '../federation/compression/none.ts';
import type { BoundMethod } from '../federation/method.ts';
import { isValidated } from '../federation/stopping.ts';
import { LOSS_CHUNK_BYTES } from '../graph/cross-entropy.ts';
import type { ModelDefinition } from '../models/model.ts';
import { blockFormatOf } from '../models/quantization-choice.ts';
import { quantizedModules, quantizedTypes } from '../models/quantized-format.ts';
import { deploymentSizes } from '../recipe/pace.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { BoundTuning } from '../tuning/kind.ts';
import { type RoundBytes, roundBytes } from './estimate-bytes.ts';

export interface EstimateInput {
  readonly recipe: Recipe;
  readonly numOwners: number;
  /** Sorted; undefined where nobody knows them. */
  readonly ownerNames?: readonly string[] | undefined;
  /** Of the owner who has the fewest; undefined where nobody knows. */
  readonly fewestExamples?: number | undefined;
  /** That the training objective makes of an example; omitted: one. */
  readonly sequencesPerExample?: number;
  /** Mean over owners of the tokens in one of their examples, all its sequences together. */
  readonly tokensPerExample: number;
  /** Where there are no data yet `tokensPerExample` is the longest that the recipe allows. */
  readonly tokensAreAtMost: boolean;
  readonly method: BoundMethod;
  readonly compression: BoundCompression;
  readonly tensors: BoundTuning['tensors'];
  /** Positions that the tuning kind puts before every sequence. */
  readonly virtual: BoundTuning['virtual'];
  readonly model: Pick<ModelDefinition, 'shape' | 'linears'>;
  /** Elements of the base model, and their bytes as stored. */
  readonly weights: { readonly parameters: number; readonly bytes: number };
  /** Of one client in training. */
  readonly tokensPerSecond?: number | undefined;
  readonly prices?:
    | { readonly perGb?: number | undefined; readonly perHour?: number | undefined }
    | undefined;
}

/** Sizes in bytes, times in seconds; null: not asked for. */
export interface Estimate {
  readonly owners: number;
  /** Of the owner who has the fewest. */
  readonly fewestExamples?: number | undefined;
  readonly rounds: number;
  /** Owners asked and updates counted in a round (buffered: training at once, and making the next params). */
  readonly asked: number;
  readonly counted: number;
  readonly client: {
    /** In one round. */
    readonly upBytes: number;
    readonly downBytes: number;
    readonly steps: number;
    readonly examples: number;
    readonly tokens: number;
    readonly seconds: number | null;
    readonly memory: ClientMemory;
    /** Once. */
    readonly modelBytes: number;
  };
  readonly round: { readonly upBytes: number; readonly downBytes: number; readonly tokens: number };
  readonly total: {
    readonly upBytes: number;
    readonly downBytes: number;
    /** A deployment's owners fetch params to score their own held-out examples: at most so much more. */
    readonly evaluationBytes: number;
    readonly steps: number;
    readonly tokens: number;
    /** All clients together, and one after the other rounds. */
    readonly clientSeconds: number | null;
    readonly wallSeconds: number | null;
  };
  readonly coordinator: { readonly memoryBytes: number; readonly diskBytes: number };
  readonly cost: { readonly transfer: number | null; readonly compute: number | null };
  readonly tokensAreAtMost: boolean;
}

export interface ClientMemory {
  readonly weights: number;
  /** Params, gradients, the optimizer's two moments and the update. */
  readonly training: number;
  readonly activations: number;
  /** Node.js and ONNX Runtime themselves, as measured. */
  readonly process: number;
  readonly total: number;
}

const PROCESS_BYTES = 200e6;
const COORDINATOR_BYTES = 150e6;

export function estimateRun(input: EstimateInput): Estimate {
  const { recipe, numOwners, tokensAreAtMost, prices } = input;
  const { cohortSize, pace } = deploymentSizes(recipe, numOwners);
  const asked = pace.mode === 'buffered' ? cohortSize : Math.min(pace.asked, numOwners);
  const { rounds } = recipe.federation;
  const size = { ...input, seed: recipe.seed, asked, rounds };
  const bytesOf = roundBytes(size);
  const [first, last] = [bytesOf(1), bytesOf(rounds)];
  const client = {
    // A mean: owners may differ.
    upBytes: Math.round(first.up / asked),
    downBytes: Math.round(first.down / asked),
    ...clientRound(input),
    memory: clientMemory(input),
    modelBytes: input.weights.bytes,
  };
  const total = totals(input, asked, bytesOf);
  const gigabytes = (total.upBytes + total.downBytes) / 1e9;
  const hours = total.clientSeconds === null ? null : total.clientSeconds / 3600;
  return {
    owners: numOwners,
    fewestExamples: input.fewestExamples,
    rounds,
    asked: Math.min(pace.asked, numOwners),
    counted: cohortSize,
    client,
    round: { upBytes: last.up, downBytes: last.down, tokens: asked * client.tokens },
    total,
    coordinator: coordinatorNeeds(input, {
      upBytes: first.up,
      decodedBytes: roundBytes({ ...size, compression: plain })(1).up,
    }),
    cost: {
      transfer: prices?.perGb === undefined ? null : gigabytes * prices.perGb,
      compute: prices?.perHour === undefined || hours === null ? null : hours * prices.perHour,
    },
    tokensAreAtMost,
  };
}

function clientRound(input: EstimateInput) {
  const { recipe, tokensPerExample, tokensPerSecond } = input;
  const steps = recipe.federation.localSteps;
  const examples = steps * recipe.training.batchSize;
  const tokens = Math.round(examples * tokensPerExample);
  const seconds = tokensPerSecond === undefined ? null : tokens / tokensPerSecond;
  return { steps, examples, tokens, seconds };
}

function totals(
  input: EstimateInput,
  asked: number,
  bytesOf: (round: number) => RoundBytes,
): Estimate['total'] {
  const { rounds } = input.recipe.federation;
  const { steps, tokens, seconds } = clientRound(input);
  const bytes = Array.from({ length: rounds }, (_, i) => bytesOf(i + 1));
  return {
    upBytes: bytes.reduce((sum, { up }) => sum + up, 0),
    downBytes: bytes.reduce((sum, { down }) => sum + down, 0),
    evaluationBytes: evaluations(input) * input.numOwners * encodedUpdateBytes(plain, input.tensors),
    steps: rounds * asked * steps,
    tokens: rounds * asked * tokens,
    clientSeconds: seconds === null ? null : rounds * asked * seconds,
    wallSeconds: seconds === null ? null : rounds * seconds,
  };
}

/** Params that owners score: at the start, after validated rounds, and the result. */
function evaluations({ recipe: { data, evaluation, federation } }: EstimateInput): number {
  const validates = data.validation !== undefined || data.validationFraction > 0;
  const tests = data.test !== undefined || data.testFraction > 0;
  const plan = { validateEveryRounds: validates ? evaluation.everyRounds : 0, rounds: federation.rounds };
  const validated = Array.from({ length: federation.rounds }, (_, i) => i + 1).filter((round) =>
    isValidated(plan, round),
  );
  const last = tests && !validated.includes(federation.rounds) ? 1 : 0;
  return validated.length + last + (validates || tests ? 1 : 0);
}

/**
 * Activations in floats per token: what every linear module reads and writes, Σ (in + out), and the attention
 * probabilities, H · T a layer; within a tenth of what was measured on a model of 7 million weights. Computed again in the
 * backward pass: the inputs of the blocks and the inside of one. The loss holds three chunks of logits.
 */
function clientMemory({
  recipe,
  model,
  tensors,
  virtual,
  weights,
  sequencesPerExample = 1,
}: EstimateInput): ClientMemory {
  const { training, data } = recipe;
  const { numAttentionHeads, numHiddenLayers, hiddenSize, numLogits } = model.shape;
  const linears = model.linears.reduce(
    (sum, { inFeatures, outFeatures }) => sum + inFeatures + outFeatures,
    0,
  );
  const seen = data.maxLength + (virtual?.count ?? 0);
  const fed = virtual?.as === 'tokens' ? seen : data.maxLength;
  const perToken = linears + numHiddenLayers * numAttentionHeads * seen;
  const kept = training.recompute ? numHiddenLayers * hiddenSize + perToken / numHiddenLayers : perToken;
  const rows = sequencesPerExample * (training.microBatchSize ?? training.batchSize);
  const loss = 3 * Math.min(LOSS_CHUNK_BYTES, 4 * rows * fed * numLogits);
  const parts = {
    weights: weightBytes(recipe, model, weights),
    training: 5 * 4 * elementsOf(tensors),
    activations: recipe.replicas * (4 * rows * fed * kept + loss),
    process: PROCESS_BYTES,
  };
  const total = Object.values(parts).reduce((sum, bytes) => sum + bytes, 0);
  return { ...parts, total };
}

/** Mapped as they are stored; packed once more for each replica, and as float32 unless they are small integers. */
function weightBytes(
  { frozenWeights, replicas, quantization: choice }: Recipe,
  model: EstimateInput['model'],
  { parameters, bytes }: EstimateInput['weights'],
): number {
  const format = blockFormatOf(choice);
  const modules = format === undefined ? [] : quantizedModules(model, format);
  const rounded = modules.reduce((sum, { inFeatures, outFeatures }) => sum + inFeatures * outFeatures, 0);
  const integers = modules
    .flatMap((module) => Object.values(quantizedTypes(module, format!)))
    .reduce((sum, type) => sum + sizeBytes(type), 0);
  const rest = parameters - rounded;
  if (frozenWeights === 'mapped') return integers + rest * (bytes / parameters);
  return (1 + replicas) * (integers + 4 * rest);
}

/**
 * Aggregation holds three times the model whatever the number of clients, or all updates for rules that look at them
 * together; a round's updates lie on disk until it closes.
 */
function coordinatorNeeds(
  { recipe, method, tensors, weights }: EstimateInput,
  updates: { readonly upBytes: number; readonly decodedBytes: number },
): Estimate['coordinator'] {
  const params = encodedUpdateBytes(plain, tensors);
  const kept = recipe.federation.keepBest ? recipe.federation.rounds + 1 : 3;
  return {
    memoryBytes: COORDINATOR_BYTES + 3 * params + (method.combine === undefined ? 0 : updates.decodedBytes),
    diskBytes: weights.bytes + kept * params + updates.upBytes,
  };
}

function elementsOf(tensors: EstimateInput['tensors']): number {
  return tensors.reduce((sum, { shape }) => sum + shape.reduce((size, dim) => size * dim, 1), 0);
}
