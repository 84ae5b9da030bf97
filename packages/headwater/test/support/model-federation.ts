/**
 * A federation of a few owners on a fixture model, round by round in one thread: what clients send, what the server makes of
 * it, which sessions were built on the way. For invariants of methods that a quadratic cannot show.
 */

import { rng } from '../../src/base/random.ts';
import type { Params } from '../../src/base/tensor.ts';
import type { TokenizedExample } from '../../src/data/types.ts';
import { aggregateRound, type RoundOutput } from '../../src/federation/aggregate.ts';
import { plain } from '../../src/federation/compression/none.ts';
import { planFixedPoint } from '../../src/federation/fixed-point.ts';
import { type BoundMethod, bindMethod } from '../../src/federation/method.ts';
import { methods } from '../../src/federation/methods/registry.ts';
import { decodeParams } from '../../src/federation/params.ts';
import { type ClientRoundResult, trainClientRound } from '../../src/jobs/client-round.ts';
import { readWeight } from '../../src/models/checkpoint-node.ts';
import type { Engine } from '../../src/training/engine.ts';
import type { BoundTuning, ModelLayout } from '../../src/tuning/kind.ts';
import { setup, TRAIN, toyExamples } from '../training-setup.ts';

export interface FederationOptions {
  readonly options?: object;
  readonly bind: (layout: ModelLayout) => BoundTuning;
  readonly rounds?: number;
  readonly localSteps?: number;
  readonly learningRate?: number;
  readonly serverLearningRate?: number;
  readonly owners?: readonly string[];
  readonly seed?: number;
  /** Replaces what an engine does. */
  readonly engine?: Partial<Engine>;
}

export interface ModelFederation {
  readonly method: BoundMethod;
  readonly tuning: BoundTuning;
  readonly engine: Engine;
  /** Labels of the sessions that were built, in order. */
  readonly sessions: readonly string[];
  readonly initial: Params;
  readonly examples: ReadonlyMap<string, readonly TokenizedExample[]>;
  client(round: number, owner: string, params: Params, kept?: Params): Promise<ClientRoundResult>;
  server(
    round: number,
    params: Params,
    sent: Readonly<Record<string, Uint8Array>>,
    state?: Params,
  ): Promise<RoundOutput>;
  /** Whole rounds of all owners from the beginning: params after each. */
  run(rounds: number): Promise<Params[]>;
}

export async function modelFederation(id: string, chosen: FederationOptions): Promise<ModelFederation> {
  const { owners = ['ann', 'ben'], localSteps = 2, rounds = 3, seed = 1, serverLearningRate = 1 } = chosen;
  const record = methods.get(id)!;
  const method = bindMethod(record, record.options.parse(chosen.options ?? {}));
  const sessions: string[] = [];
  const { model, tuning, engine } = await setup(
    'huggingface/llama',
    ({ definition }) => method.tuning(chosen.bind(definition), definition, { rounds, localSteps }),
    (label) => sessions.push(label),
  );
  const initial = await tuning.init(rng(seed, 'init'), (name) => readWeight(model.weights, name));
  const examples = new Map(
    owners.map((owner, i) => [owner, toyExamples([9, 12, 5, 14], model.definition.shape.vocabSize, i)]),
  );
  const { tensors, derivation } = tuning;
  const wires = [1, 2].flatMap((round) => method.wire(tensors, round, owners[0]!));
  const all = new Map([...wires, ...tensors].map((one) => [one.name, one]));
  const plan = planFixedPoint([...all.values()], { fractionBits: 30, range: 8 });
  const client: ModelFederation['client'] = (round, owner, params, kept) => {
    const parts = {
      engine: { ...engine, ...chosen.engine },
      tensors,
      derivation,
      method,
      compression: plain,
    };
    const amounts = {
      steps: localSteps,
      stepOffset: (round - 1) * localSteps,
      totalSteps: rounds * localSteps,
    };
    const { maxGradNorm: _, ...rest } = TRAIN;
    const sgd = {
      ...TRAIN.optimizer,
      kind: 'sgd' as const,
      weightDecay: 0,
      learningRate: chosen.learningRate ?? 0.01,
    };
    const options = {
      ...rest,
      ...amounts,
      batchSize: 2,
      microBatchSize: 2,
      optimizer: sgd,
      seedPath: [seed, owner, round],
    };
    return trainClientRound(parts, {
      seed,
      round,
      owner,
      params,
      kept,
      examples: examples.get(owner)!,
      options,
    });
  };
  const server: ModelFederation['server'] = (round, params, sent, state) => {
    const members = Object.keys(sent)
      .sort()
      .map((owner, i) => ({ owner, update: owner, aggregationWeight: 1 + i }));
    const input = { round, params, serverState: state, members, serverLearningRate };
    return aggregateRound(method, plan, input, async (owner) => decodeParams(sent[owner]!));
  };
  const run = async (count: number) => {
    const after: Params[] = [];
    const kept = new Map<string, Params | undefined>();
    let [params, state]: [Params, Params | undefined] = [initial, undefined];
    for (let round = 1; round <= count; round++) {
      const sent: Record<string, Uint8Array> = {};
      for (const owner of owners) {
        const result = await client(round, owner, params, kept.get(owner));
        kept.set(owner, result.kept);
        sent[owner] = result.update;
      }
      const next = await server(round, params, sent, state);
      [params, state] = [next.params, next.serverState];
      after.push(params);
    }
    return after;
  };
  return { method, tuning, engine, sessions, initial, examples, client, server, run };
}
