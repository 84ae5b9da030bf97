/**
 * What a client does in one round, virtual or real: take the params, train on the owner's examples, make the update that
 * travels and what stays. A function of its input and the seeds; it knows no files and no network.
 */

import { type Rng, rng } from '../base/random.ts';
import { type Params, tensor } from '../base/tensor.ts';
import { numTargetsOf, numTokensOf } from '../data/pairs.ts';
import type { TokenizedExample } from '../data/types.ts';
import type { BoundCompression } from '../federation/compression/compression.ts';
import { encodeUpdate } from '../federation/compression/encode.ts';
import { type LocalRound, standardRound, type Writing } from '../federation/local-round.ts';
import type { BoundMethod } from '../federation/method.ts';
import { type OwnNoise, withOwnNoise } from '../federation/own-noise.ts';
import { addScaled, encodedBytes, overlaid, selectParams } from '../federation/params.ts';
import { beginning, type Receiver, restOf, sentDown } from '../federation/sent-down.ts';
import type { TensorRole } from '../federation/tensor-role.ts';
import type { TrainingStats } from '../federation/training-stats.ts';
import { clippedToNorm } from '../privacy/clip.ts';
import type { Engine, TrainOptions, TrainResult } from '../training/engine.ts';
import { exampleStream } from '../training/example-stream.ts';
import type { Derivation, TrainableTensor } from '../tuning/kind.ts';
import type { OnStep } from './jobs.ts';
import { keptOf, partsOf } from './kept.ts';
import { learningRateOf, trainingOf, withSteps } from './learner.ts';
import { noisedRound, toldStats } from './private-round.ts';

export interface ClientRoundParts {
  readonly engine: Pick<Engine, 'train' | 'gradients' | 'loss' | 'distributions' | 'generateBatch'>;
  /** For methods that let the model write; omitted: it cannot. */
  readonly text?: TextFacts | undefined;
  readonly tensors: readonly TrainableTensor[];
  /** Of the tuning; undefined: the network takes in `tensors` as they are. */
  readonly derivation?: Derivation | undefined;
  readonly method: BoundMethod;
  readonly compression: BoundCompression;
}

/** What writing needs beside the engine. */
export type TextFacts = Pick<Writing, 'encode' | 'endTokens' | 'maxTokens'>;

export interface ClientRound {
  /** Of the run. */
  readonly seed: number;
  readonly round: number;
  readonly owner: string;
  /** Global params, or what came of them. */
  readonly params: Params | Arrived;
  /** What the owner's last accepted round left with it. */
  readonly kept: Params | undefined;
  readonly examples: readonly TokenizedExample[];
  readonly options: TrainOptions;
  /** Longer updates are scaled down to it, over all their tensors together; omitted: any length. */
  readonly clipNorm?: number | undefined;
  /** That this client adds after clipping; omitted: none. */
  readonly ownNoise?: OwnNoise | undefined;
}

/** As `sentDown` and `restOf` make it of global params. */
export interface Arrived {
  readonly sent: Params;
  readonly rest: Params;
}

export interface ClientRoundResult {
  /** The file that travels. */
  readonly update: Uint8Array;
  /** Personal tensors and what the compression lost: current once the update is accepted. Undefined: nothing to keep. */
  readonly kept: Params | undefined;
  /** Of what was sent down. */
  readonly downBytes: number;
  readonly stats: TrainingStats;
  /** ‖update‖₂ before clipping, where it is clipped. */
  readonly unclippedNorm: number | undefined;
}

/** Throws TRAINING_DIVERGED and what the engine throws. */
export async function trainClientRound(
  parts: ClientRoundParts,
  input: ClientRound,
  onStep?: OnStep,
): Promise<ClientRoundResult> {
  const { tensors, method, compression } = parts;
  const { seed, round, owner, params, kept } = input;
  const random = (purpose: string) => rng(seed, owner, round, purpose);
  const context = (purpose: string) => ({ round, owner, random: random(purpose) });
  const roles = new Map(tensors.map((tensor) => [tensor.name, method.role(tensor, round)]));
  const before = partsOf(kept);
  const to = { seed, round, owner };
  const { sent: received, rest } = 'sent' in params ? params : arrivedOf(parts, params, to);
  const start = beginning(parts, { sent: received, rest, own: before.personal }, to);
  const plain = localRound(parts, input, { start, roles, random, memory: before.memory }, onStep);
  const { privacy } = input.options;
  const local = privacy === undefined ? plain : noisedRound(plain, method.id);
  const outcome = await (method.client ?? standardRound)(local);
  const whole = method.encodeUp(outcome.update, context('encode-up'));
  const { sent: clipped, norm } = clippedUpdate(whole, input.clipNorm);
  const sent = noisy(clipped, input);
  const { bytes, residual } = encodeUpdate(compression, sent, random('compress'), before.residual);
  const personal = selectParams(start, (name) => roles.get(name) === 'personal');
  return {
    update: bytes,
    kept: keptOf({
      personal: overlaid(personal, outcome.personal ?? NOTHING),
      memory: outcome.memory,
      residual,
    }),
    downBytes: encodedBytes(received),
    stats: told(outcome.stats, input),
    unclippedNorm: norm,
  };
}

function noisy(update: Params, { ownNoise, clipNorm, seed, owner, round }: ClientRound): Params {
  if (ownNoise === undefined || clipNorm === undefined) return update;
  return withOwnNoise(update, ownNoise, clipNorm, [seed, owner, round]);
}

function told(stats: TrainingStats, { options, ownNoise, examples }: ClientRound): TrainingStats {
  const { privacy } = options;
  const randomness = privacy?.randomness ?? ownNoise?.randomness;
  if (randomness !== 'secret') return stats;
  const drawn =
    privacy === undefined ? stats.numExamples : stats.steps * privacy.samplingRate * examples.length;
  return toldStats(stats, drawn);
}

function arrivedOf(parts: ClientRoundParts, params: Params, to: Receiver): Arrived {
  return { sent: sentDown(parts, params, to), rest: restOf(parts, params, to.round) };
}

const NOTHING: Params = new Map();

function clippedUpdate(
  update: Params,
  clipNorm: number | undefined,
): { readonly sent: Params; readonly norm: number | undefined } {
  if (clipNorm === undefined) return { sent: update, norm: undefined };
  const { arrays, norm } = clippedToNorm(
    [...update.values()].map(({ data }) => data),
    clipNorm,
  );
  const entries = [...update].map(
    ([name, { shape }], i) => [name, tensor('float32', shape, arrays[i]!)] as const,
  );
  return { sent: new Map(entries), norm };
}

interface Beginning {
  readonly start: Params;
  readonly roles: ReadonlyMap<string, TensorRole>;
  readonly random: (purpose: string) => Rng;
  readonly memory: Params | undefined;
}

function localRound(
  parts: ClientRoundParts,
  { seed, round, owner, examples, options }: ClientRound,
  { start, roles, random, memory }: Beginning,
  onStep: OnStep | undefined,
): LocalRound {
  const { engine, tensors, derivation, method } = parts;
  // Noised steps draw from all of them.
  const seen =
    options.privacy === undefined ? examplesOfRound(examples, [seed, owner, 'stream'], options) : examples;
  const stepExamples = (step: number) => seen.slice(step * options.batchSize, (step + 1) * options.batchSize);
  const still = [...roles].filter(([, role]) => role === 'frozen' || role === 'given').map(([name]) => name);
  const { maxLength, microBatchSize } = options;
  const { localObjective } = method;
  const meanLoss = (params: Params, of: readonly TokenizedExample[]) =>
    engine.loss(params, of, { batchSize: microBatchSize, maxLength });
  return {
    ...{ round, owner, start, random, memory, steps: options.steps, optimizer: options.optimizer },
    learningRate: learningRateOf(options),
    wire: method.wire(tensors, round, owner),
    inputs: (params) => derivation?.forward(params) ?? params,
    role: (name) => roles.get(name) ?? 'frozen',
    examples: seen,
    writing: writingOf(parts, [seed, owner, round]),
    async train(params, task = {}) {
      const { frozen, extraGradient, ...rest } = trainingOf(task);
      const how = withSteps(options, task.steps);
      const trained = await engine.train(params, task.examples ?? seen, how, onStep, {
        ...rest,
        frozen: new Set([...still, ...(frozen ?? [])]),
        extraGradient: async (current, stepExamples) =>
          summed(localObjective?.({ params: current, start }), await extraGradient?.(current, stepExamples)),
      });
      return { params: trained.params, steps: trained.steps, stats: statsOf(trained) };
    },
    loss: (params, step) => meanLoss(params, stepExamples(step)),
    distributions: (params, of, how) =>
      engine.distributions(params, of, { ...how, batchSize: microBatchSize, maxLength }),
    lossOnAll: (params) => meanLoss(params, examples),
    gradients: (params, step) => engine.gradients(params, stepExamples(step), { maxLength }),
    gradientsOn: (params, of, pass) => engine.gradients(params, of, { maxLength, ...pass }),
    statsOf: (losses) => statsOfLosses(losses, seen),
  };
}

function writingOf(
  { engine, text }: ClientRoundParts,
  seedPath: readonly (string | number)[],
): Writing | undefined {
  if (text === undefined) return undefined;
  return {
    ...text,
    async write(params, texts, { temperature, purpose }) {
      const requests = texts.map(({ prompt, maxNewTokens }, i) => ({
        prompt,
        options: {
          ...{ maxNewTokens, temperature, topP: 1, topK: 0, stopTokenIds: text.endTokens },
          seedPath: [...seedPath, purpose, i],
        },
      }));
      return (await engine.generateBatch(params, requests)).map(({ tokens }) => tokens);
    },
  };
}

function summed(a: Params | undefined, b: Params | undefined): Params | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const onlyB = selectParams(b, (name) => !a.has(name));
  const both = selectParams(b, (name) => a.has(name));
  return new Map([...addScaled(a, both, 1), ...onlyB]);
}

function statsOfLosses(losses: readonly number[], seen: readonly TokenizedExample[]): TrainingStats {
  const sum = (of: (example: TokenizedExample) => number) => seen.reduce((n, example) => n + of(example), 0);
  const mean = losses.reduce((a, b) => a + b, 0) / Math.max(1, losses.length);
  return {
    steps: losses.length,
    numExamples: seen.length,
    numTokens: sum(numTokensOf),
    numTargets: sum(numTargetsOf),
    meanLoss: finite(mean),
    lastLoss: finite(losses.at(-1)),
  };
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

export function statsOf({
  steps,
  numExamples,
  numTokens,
  numTargets,
  meanLoss,
  figures,
}: TrainResult): TrainingStats {
  return {
    steps: steps.length,
    numExamples,
    numTokens,
    numTargets,
    meanLoss: finite(meanLoss),
    lastLoss: finite(steps.at(-1)?.loss),
    ...(figures === undefined ? {} : { figures }),
  };
}

function finite(x: number | undefined): number | null {
  return x !== undefined && Number.isFinite(x) ? x : null;
}
