/**
 * What a client does in one round, virtual or real: take the params, train on the owner's examples, make the update that
 * travels and what stays. A function of its input and the seeds; it knows no files and no network.
 */

import { rng } from '../base/random.ts';
import type { Params, Tensor } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';
import type { BoundCompression } from '../federation/compression/compression.ts';
import { encodeUpdate } from '../federation/compression/encode.ts';
import type { TrainingStats } from '../federation/events.ts';
import type { BoundMethod, TensorRole } from '../federation/method.ts';
import { differenceOf, encodedBytes, overlaid, selectParams } from '../federation/params.ts';
import type { Engine, LocalTraining, TrainOptions, TrainResult } from '../training/engine.ts';
import { exampleStream } from '../training/example-stream.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import type { OnStep } from './jobs.ts';

export interface ClientRoundParts {
  readonly engine: Pick<Engine, 'train'>;
  readonly tensors: readonly TrainableTensor[];
  readonly method: BoundMethod;
  readonly compression: BoundCompression;
}

export interface ClientRound {
  /** Of the run. */
  readonly seed: number;
  readonly round: number;
  readonly owner: string;
  readonly params: Params;
  /** What the owner's last accepted round left with it. */
  readonly kept: Params | undefined;
  readonly examples: readonly TokenizedExample[];
  readonly options: TrainOptions;
}

export interface ClientRoundResult {
  /** The file that travels. */
  readonly update: Uint8Array;
  /** Personal tensors and what the compression lost: current once the update is accepted. Undefined: nothing to keep. */
  readonly kept: Params | undefined;
  /** Of the params that the client needs. */
  readonly downBytes: number;
  readonly stats: TrainingStats;
}

/** Throws TRAINING_DIVERGED and what the engine throws. */
export async function trainClientRound(
  { engine, tensors, method, compression }: ClientRoundParts,
  { seed, round, owner, params, kept, examples, options }: ClientRound,
  onStep?: OnStep,
): Promise<ClientRoundResult> {
  const roles = new Map(tensors.map((tensor) => [tensor.name, method.role(tensor, round)]));
  const isShared = (name: string) => roles.get(name) === 'shared';
  const random = (purpose: string) => rng(seed, owner, round, purpose);
  const context = (purpose: string) => ({ round, owner, random: random(purpose) });
  const received = method.encodeDown(selectParams(params, isShared), context('encode-down'));
  const start = overlaid(overlaid(params, kept ?? NOTHING), received);
  const seen = examplesOfRound(examples, [seed, owner, 'stream'], options);
  const trained = await engine.train(start, seen, options, onStep, localTraining(method, roles, start));
  const difference = differenceOf(selectParams(trained.params, isShared), received);
  const sent = method.encodeUp(difference, context('encode-up'));
  const { bytes, residual } = encodeUpdate(compression, sent, random('compress'), residualIn(kept));
  return {
    update: bytes,
    kept: keptOf(
      selectParams(trained.params, (name) => roles.get(name) === 'personal'),
      residual,
    ),
    downBytes: encodedBytes(received),
    stats: statsOf(trained),
  };
}

const NOTHING: Params = new Map();

function localTraining(
  { localObjective }: BoundMethod,
  roles: ReadonlyMap<string, TensorRole>,
  start: Params,
): LocalTraining {
  const frozen = new Set([...roles].filter(([, role]) => role === 'frozen').map(([name]) => name));
  if (localObjective === undefined) return { frozen };
  return { frozen, extraGradient: (params) => localObjective({ params, start }) };
}

/** Tensors of this name belong to the compression; `overlaid` finds no such tensor in a model and leaves them out. */
const RESIDUAL = 'error-feedback:';

function keptOf(personal: Params, residual: Params | undefined): Params | undefined {
  const lost = [...(residual ?? NOTHING)].map(([name, value]) => [RESIDUAL + name, value] as const);
  const kept = new Map<string, Tensor<'float32'>>([...personal, ...lost]);
  return kept.size === 0 ? undefined : kept;
}

function residualIn(kept: Params | undefined): Params | undefined {
  if (kept === undefined) return undefined;
  const lost = [...kept].filter(([name]) => name.startsWith(RESIDUAL));
  return new Map(lost.map(([name, value]) => [name.slice(RESIDUAL.length), value]));
}

/**
 * What a client sees in one round: the next steps · batchSize examples of its own endless shuffled stream, so that
 * successive rounds go through its data in epochs.
 */
function examplesOfRound(
  examples: readonly TokenizedExample[],
  seedPath: readonly (string | number)[],
  { steps, stepOffset, batchSize }: TrainOptions,
): TokenizedExample[] {
  const stream = exampleStream(examples.length, seedPath);
  for (let step = 0; step < stepOffset; step++) stream.take(batchSize);
  const positions = Array.from({ length: steps }, () => stream.take(batchSize)).flat();
  return positions.map((position) => examples[position]!);
}

export function statsOf({ steps, numExamples, numTokens, numTargets, meanLoss }: TrainResult): TrainingStats {
  const finite = (x: number | undefined) => (x !== undefined && Number.isFinite(x) ? x : null);
  return {
    steps: steps.length,
    numExamples,
    numTokens,
    numTargets,
    meanLoss: finite(meanLoss),
    lastLoss: finite(steps.at(-1)?.loss),
  };
}
