/**
 * A method that trains: one owner on a fixture model, round by round from stored bytes, and what plain training would have
 * made of the same beginning. For properties of methods that need training; it declares none.
 */

import { rng } from '../../src/base/random.ts';
import type { Params } from '../../src/base/tensor.ts';
import { aggregateRound } from '../../src/federation/aggregate.ts';
import { encodedUpdateBytes } from '../../src/federation/compression/encode.ts';
import { plain } from '../../src/federation/compression/none.ts';
import { planFixedPoint } from '../../src/federation/fixed-point.ts';
import { type LocalRound, standardRound } from '../../src/federation/local-round.ts';
import { type BoundMethod, bindMethod, type Method } from '../../src/federation/method.ts';
import { decodeParams, encodeParams } from '../../src/federation/params.ts';
import { sentDownBytes } from '../../src/federation/sent-down.ts';
import { type ClientRoundResult, trainClientRound } from '../../src/jobs/client-round.ts';
import { partsOf } from '../../src/jobs/kept.ts';
import { readWeight } from '../../src/models/checkpoint-node.ts';
import type { Model } from '../../src/models/model.ts';
import { createNodeExecutor } from '../../src/runtime/onnx-node.ts';
import type { Engine } from '../../src/training/engine.ts';
import { createEngine } from '../../src/training/engine-core.ts';
import type { BoundTuning } from '../../src/tuning/kind.ts';
import { tuningKinds } from '../../src/tuning/registry.ts';
import { TRAIN, toyExamples } from '../training-setup.ts';
import { type MethodSetting, settingOf } from './method-settings.ts';

const LORA = { kind: 'lora', rank: 2, alpha: 4, targetModules: ['q_proj', 'v_proj'] };
const STEPS = 2;
const ROUNDS = 2;
const SEED = 1;
const OWNER = 'ann';
/** Steps so large that what a method changes of them shows. */
const SGD = { ...TRAIN.optimizer, kind: 'sgd' as const, weightDecay: 0, learningRate: 0.5 };

/** A letter is a token. */
const TEXT = {
  encode: async (text: string) => Array.from(text, (letter) => letter.charCodeAt(0) % 32),
  endTokens: [2],
  maxTokens: 64,
};

/** What a round begins with, as another process would find it. */
export interface Stored {
  readonly params: Uint8Array;
  readonly state: Uint8Array | undefined;
  readonly kept: Uint8Array | undefined;
}

interface Sizes {
  readonly up: number;
  readonly down: number;
}

export interface TrainedRound {
  readonly update: Uint8Array;
  readonly after: Stored;
  readonly declared: Sizes;
  readonly measured: Sizes;
  /**
   * Largest difference of logits between what the owner uses after the round and plain training from where it began, over how
   * far that training moved them.
   */
  distanceToPlain(): Promise<number>;
}

export interface OneOwner {
  /** Whether the result is no adapter although the tuning’s is. */
  readonly changesBase: boolean;
  begin(): Promise<Stored>;
  round(number: number, before: Stored): Promise<TrainedRound>;
}

interface Parts {
  readonly model: Model;
  readonly method: BoundMethod;
  readonly tuning: BoundTuning;
  readonly engine: Engine;
}

/** A method at its small setting or another, with nothing remembered from another call. */
export function oneOwner(
  record: Method<unknown>,
  model: Model,
  { options = {}, tuning: { kind, ...given } = LORA }: MethodSetting = settingOf(record.id),
): OneOwner {
  const method = bindMethod(record, record.options.parse(options));
  const { definition } = model;
  const tuningKind = tuningKinds.get(kind)!;
  const asked = tuningKind.bind(tuningKind.options.parse(given), definition);
  const tuning = method.tuning(asked, definition, { rounds: ROUNDS, localSteps: STEPS });
  const engine = createEngine({ model, tuning, executor: createNodeExecutor() });
  const parts = { model, method, tuning, engine };
  const baseValue = (name: string) => readWeight(model.weights, name);
  return {
    changesBase: asked.adapterConfig() !== undefined && tuning.adapterConfig() === undefined,
    async begin() {
      const fresh = await tuning.init(rng(SEED, 'init'), baseValue);
      const params = await method.initialParams(fresh, { random: rng(SEED, 'method'), baseValue });
      return { params: encodeParams(params), state: undefined, kept: undefined };
    },
    round: (number, before) => trainedRound(parts, number, before),
  };
}

async function trainedRound(parts: Parts, round: number, before: Stored): Promise<TrainedRound> {
  const { method, tuning, model, engine } = parts;
  const params = decodeParams(before.params);
  const { local, result } = await clientRound(parts, round, params, before.kept);
  const wire = method.wire(tuning.tensors, round, OWNER);
  const plan = planFixedPoint(wire, { fractionBits: 30, range: 8 });
  const members = [{ owner: OWNER, update: 'own', aggregationWeight: 3 }];
  const serverState = before.state && decodeParams(before.state);
  const input = { round, params, serverState, members, serverLearningRate: 1 };
  const next = await aggregateRound(method, plan, input, async () => decodeParams(result.update));
  const to = { seed: SEED, round, owner: OWNER };
  return {
    update: result.update,
    after: {
      params: encodeParams(next.params),
      state: next.serverState && encodeParams(next.serverState),
      kept: result.kept && encodeParams(result.kept),
    },
    declared: {
      up: encodedUpdateBytes(plain, wire),
      down: sentDownBytes({ method, tensors: tuning.tensors }, to),
    },
    measured: { up: result.update.byteLength, down: result.downBytes },
    async distanceToPlain() {
      const own = method.ownParams(next.params, partsOf(result.kept));
      const [{ tokens }] = examplesOf(model) as [ReturnType<typeof examplesOf>[number]];
      const plainly = await plainTraining(engine, local, optionsOf(round));
      const logits = (of: Params) => engine.logits(of, tokens);
      const [begun, expected, found] = [await logits(local.start), await logits(plainly), await logits(own)];
      const away = largestGap(expected, found);
      return away === 0 ? 0 : away / largestGap(expected, begun);
    },
  };
}

/** A client’s round, and what it was given to work with. */
async function clientRound(
  { method, tuning, model, engine }: Parts,
  round: number,
  params: Params,
  kept: Uint8Array | undefined,
): Promise<{ readonly local: LocalRound; readonly result: ClientRoundResult }> {
  let seen: LocalRound | undefined;
  const client = (local: LocalRound) => {
    seen = local;
    return (method.client ?? standardRound)(local);
  };
  const { tensors, derivation } = tuning;
  const parts = {
    engine,
    tensors,
    derivation,
    method: { ...method, client },
    compression: plain,
    text: TEXT,
  };
  const result = await trainClientRound(parts, {
    ...{ seed: SEED, round, owner: OWNER, params, examples: examplesOf(model), options: optionsOf(round) },
    kept: kept && decodeParams(kept),
  });
  return { local: seen!, result };
}

const examplesOf = ({ definition }: Model) => toyExamples([9, 12, 5, 14], definition.shape.vocabSize);

function optionsOf(round: number) {
  const { maxGradNorm: _, ...rest } = TRAIN;
  return {
    ...{ ...rest, optimizer: SGD, batchSize: 2, microBatchSize: 2, seedPath: [SEED, OWNER, round] },
    ...{ steps: STEPS, stepOffset: (round - 1) * STEPS, totalSteps: ROUNDS * STEPS },
  };
}

async function plainTraining(
  engine: Engine,
  { start, examples, role }: LocalRound,
  options: ReturnType<typeof optionsOf>,
): Promise<Params> {
  const still = [...start.keys()].filter((name) => ['frozen', 'given'].includes(role(name)));
  return (await engine.train(start, examples, options, undefined, { frozen: new Set(still) })).params;
}

function largestGap(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0);
}
