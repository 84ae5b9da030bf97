/** For tests of methods: a tiny network under a method's tuning, on which single client rounds are trained. */

import { rng } from '../../src/base/random.ts';
import type { Params } from '../../src/base/tensor.ts';
import type { TokenizedExample } from '../../src/data/types.ts';
import { plain } from '../../src/federation/compression/none.ts';
import { bindMethod } from '../../src/federation/method.ts';
import { methods } from '../../src/federation/methods/registry.ts';
import { decodeParams } from '../../src/federation/params.ts';
import { type ClientRoundParts, trainClientRound } from '../../src/jobs/client-round.ts';
import { partsOf } from '../../src/jobs/kept.ts';
import { openCheckpoint, readWeight } from '../../src/models/checkpoint-node.ts';
import { createNodeExecutor } from '../../src/runtime/onnx-node.ts';
import type { LocalTraining, TrainOptions } from '../../src/training/engine.ts';
import { createEngine } from '../../src/training/engine-core.ts';
import { tuningKinds } from '../../src/tuning/registry.ts';
import { FIXTURES, TRAIN, toyExamples } from '../training-setup.ts';

const LORA = { kind: 'lora', rank: 2, alpha: 4, targetModules: ['q_proj', 'v_proj'] };
const SGD = { ...TRAIN.optimizer, kind: 'sgd' as const, learningRate: 0.1, weightDecay: 0 };

export interface BenchRound {
  readonly round?: number;
  readonly owner?: string;
  readonly params?: Params;
  readonly kept?: Params | undefined;
  readonly options?: Partial<TrainOptions>;
  /** Sees what every training of the round is given. */
  readonly seen?: (start: Params, examples: readonly TokenizedExample[], local: LocalTraining) => void;
  readonly text?: ClientRoundParts['text'];
}

export type MethodBench = Awaited<ReturnType<typeof methodBench>>;

/** Llama with two blocks of random weights; LoRA on queries and values unless `tuning` says otherwise. */
export async function methodBench(
  id: string,
  options: object,
  { kind, ...given }: { readonly kind: string; readonly [option: string]: unknown } = LORA,
) {
  const model = await openCheckpoint(`${FIXTURES}/huggingface/llama`);
  const { definition, weights } = model;
  const record = methods.get(id)!;
  const method = bindMethod(record, record.options.parse(options));
  const tuningKind = tuningKinds.get(kind)!;
  const bound = tuningKind.bind(tuningKind.options.parse(given), definition);
  const tuning = method.tuning(bound, definition);
  const baseValue = (name: string) => readWeight(weights, name);
  const fresh = await tuning.init(rng('bench'), baseValue);
  const params = await method.initialParams(fresh, { random: rng('bench', 'method'), baseValue });
  const engine = createEngine({ model, tuning, executor: createNodeExecutor() });
  const examples = toyExamples([9, 12, 5, 17, 8, 11], definition.shape.vocabSize);

  async function round(asked: BenchRound = {}) {
    const train: typeof engine.train = (start, own, how, onStep, local) => {
      asked.seen?.(start, own, local ?? {});
      return engine.train(start, own, how, onStep, local);
    };
    const parts = { engine: { ...engine, train }, tensors: tuning.tensors, method, compression: plain };
    const result = await trainClientRound(
      { ...parts, derivation: tuning.derivation, text: asked.text },
      {
        ...{ seed: 1, round: asked.round ?? 1, owner: asked.owner ?? 'ann' },
        ...{ params: asked.params ?? params, kept: asked.kept, examples },
        options: { ...TRAIN, optimizer: SGD, ...asked.options },
      },
    );
    return { ...result, sent: decodeParams(result.update), keeps: partsOf(result.kept) };
  }

  return { model, method, tuning, engine, params, examples, round };
}
