/**
 * Programs bound to a model, a tuning kind and an executor: one call is one run of a graph. Sessions are made per static
 * shape on first use and live as long as the executor. It knows batches and tensors, no epochs, optimizers or text.
 */

import { assert, HeadwaterError } from '../base/errors.ts';
import type { Rng } from '../base/random.ts';
import { type Params, sameShape, sizeOf, type Tensor, tensor } from '../base/tensor.ts';
import type { Batch } from '../data/types.ts';
import type { Graph, KernelSet } from '../graph/ir.ts';
import type { Model } from '../models/model.ts';
import type { Executor, Session, SessionOptions } from '../runtime/executor.ts';
import type { BoundTuning, DropoutSite, VirtualPositions } from '../tuning/kind.ts';
import type { BatchLoss } from './batch-loss.ts';
import { describePart, type Pass } from './pass.ts';
import { type DecodeShape, decodeProgram, prefixProgram } from './programs/decode.ts';
import { likeliestProgram, logitsProgram, scoreProgram } from './programs/score.ts';
import { gradientOutput, trainProgram } from './programs/train.ts';
import type { DistributionOptions } from './teacher.ts';

export interface RunnerParts {
  readonly model: Pick<Model, 'definition' | 'storedTypes' | 'weights' | 'quantized'>;
  readonly tuning: BoundTuning;
  readonly executor: Executor;
  /** Blocks are computed again in the backward pass: the same bits, about a third slower, without their activations. */
  readonly recompute?: boolean;
}

export type Feeds = ReadonlyMap<string, Tensor>;

export interface Runner {
  /** Which kernels the executor's graphs use. */
  readonly kernels: KernelSet;
  /** How many passes it does side by side. */
  readonly replicas: number;
  /** Positions that the kind puts before every sequence. */
  readonly virtual: VirtualPositions | undefined;
  /** Tensors that never have a gradient. */
  readonly untrained: ReadonlySet<string>;
  /** The loss and its gradients, but for `untrained` and frozen tensors. `dropout`: the stream of this pass's masks. */
  differentiate(
    params: Params,
    batch: Batch,
    loss: BatchLoss,
    dropout?: Rng,
    which?: Pass,
  ): Promise<Differentiated>;
  /**
   * The loss, and its gradients by the example whose rows they come from, [B, ..]: for losses that are sums over examples, one a
   * row. Undefined for kinds that cannot: then it takes a pass for each.
   */
  readonly differentiateEach:
    | ((
        params: Params,
        batch: Batch,
        loss: BatchLoss,
        dropout: Rng,
        frozen: ReadonlySet<string>,
      ) => Promise<Omit<Differentiated, 'figures'>>)
    | undefined;
  /** The same loss alone, without dropout. */
  loss(params: Params, batch: Batch, loss: BatchLoss): Promise<Omit<Differentiated, 'grads'>>;
  /** Per target slot: −log p and the argmax. */
  score(params: Params, batch: Batch): Promise<{ readonly nll: Float32Array; readonly argMax: Int32Array }>;
  /** Per target slot: the likeliest tokens, at most `topK` and all of the vocabulary, and −log p of the target. */
  likeliest(params: Params, batch: Batch, options: DistributionOptions): Promise<Likeliest>;
  /** Logits [B·T, V]. */
  logits(params: Params, batch: SequenceBatch): Promise<Float32Array>;
  /** One piece of generation; feeds and outputs as `decodeProgram` names them, `options` as `Executor.load` takes them. */
  decode(
    params: Params,
    shape: DecodeShape,
    feeds: Feeds,
    options: SessionOptions,
  ): Promise<Map<string, Tensor>>;
  /** The rows that every cache begins with, where `virtual.as` is cache; named by `prefixOutput`. */
  prefix(params: Params): Promise<Map<string, Tensor>>;
}

export interface Differentiated {
  readonly loss: number;
  readonly grads: Map<string, Tensor<'float32'>>;
  /** Sums over the batch, by name. */
  readonly figures: Readonly<Record<string, number>>;
}

/** M target slots. */
export interface Likeliest {
  readonly k: number;
  /** int32 [M · k]. */
  readonly ids: Int32Array;
  /** [M · k]. */
  readonly probabilities: Float32Array;
  /** [M]. */
  readonly nll: Float32Array;
}

export type SequenceBatch = Pick<Batch, 'batchSize' | 'length' | 'tokens' | 'positions' | 'segments'>;

interface Loaded {
  readonly session: Session;
  readonly dropout: readonly DropoutSite[];
}

export function createRunner({ model, tuning, executor, recompute = false }: RunnerParts): Runner {
  const sessions = new Map<string, Promise<Loaded>>();
  const load = async (
    label: string,
    build: () => { graph: Graph; dropout?: readonly DropoutSite[] },
    options: SessionOptions,
  ) => {
    const { graph, dropout = [] } = build();
    return { session: await executor.load(graph, model.weights, { ...options, label }), dropout };
  };
  const parts: string[] = [];
  const session = (
    label: string,
    build: () => { graph: Graph; dropout?: readonly DropoutSite[] },
    options: SessionOptions = {},
  ): Promise<Loaded> => {
    const known = sessions.get(label) ?? load(label, build, options);
    sessions.set(label, known);
    return known;
  };
  /** Parts of the network may be many and are needed for a while each: the longest unused one goes. */
  const makeRoom = async (label: string) => {
    const at = parts.indexOf(label);
    if (at >= 0) parts.splice(at, 1);
    const gone = parts.length < PARTS_KEPT ? undefined : parts.shift()!;
    parts.push(label);
    if (gone === undefined) return;
    const loaded = sessions.get(gone);
    sessions.delete(gone);
    await (await loaded)?.session.release();
  };
  const run = async ({ session }: Loaded, params: Params, feeds: Feeds): Promise<Map<string, Tensor>> => {
    checkParams(tuning, params);
    checkPositions(feeds.get('positions'), model.definition.shape.maxPositionEmbeddings, tuning.virtual);
    const inputs = tuning.derivation?.forward(params) ?? params;
    return session.run(new Map([...inputs, ...feeds]));
  };
  const sequenceFeeds = (batch: SequenceBatch) => feedsOf(batch, tuning.virtual);
  const trainFeeds = (batch: Batch, { feeds }: BatchLoss, masks: readonly [string, Tensor][]): Feeds =>
    new Map<string, Tensor>([...sequenceFeeds(batch), ...targetFeeds(batch), ...feeds, ...masks]);
  return {
    kernels: executor.kernels,
    replicas: executor.replicas,
    virtual: tuning.virtual,
    untrained: tuning.untrained ?? NOTHING,
    async differentiate(params, batch, batchLoss, dropout, { frozen = NOTHING, part } = {}) {
      const shape = targetShape(batch);
      const training = dropout !== undefined;
      const { derivation } = tuning;
      const tensors = derivation?.inputs ?? tuning.tensors;
      const still = derivation === undefined ? frozen : NOTHING;
      const names = trainedNames(tuning, tensors, still);
      const which = names.length === tensors.length ? '' : ` of ${names.join(', ')}`;
      const form = batchLoss.form === '' ? '' : `, ${batchLoss.form}`;
      const label = `train ${describe(shape)}${form}${training ? '' : ' without dropout'}${which}${part === undefined ? '' : describePart(part)}`;
      const mode = { training, recompute, part };
      if (part !== undefined) await makeRoom(label);
      const loaded = await session(label, () => trainProgram(model, tuning, shape, mode, batchLoss, names));
      const masks = loaded.dropout.map((site): [string, Tensor] => [site.name, dropoutMask(site, dropout!)]);
      const outputs = await run(loaded, params, trainFeeds(batch, batchLoss, masks));
      const grads = gradientsIn(outputs, names);
      const held = [...(derivation?.backward(grads, params) ?? grads)].filter(([name]) => !frozen.has(name));
      return { ...lossIn(outputs, batchLoss), grads: new Map(held) };
    },
    differentiateEach:
      tuning.perExample === true && tuning.derivation === undefined
        ? async (params, batch, batchLoss, dropout, frozen) => {
            const shape = targetShape(batch);
            const names = trainedNames(tuning, tuning.tensors, frozen);
            const perExample = { examples: batch.batchSize, of: new Set(names) };
            const label = `train by example ${describe(shape)} of ${names.join(', ')}`;
            const mode = { training: true, recompute, perExample };
            const loaded = await session(label, () =>
              trainProgram(model, tuning, shape, mode, batchLoss, names),
            );
            const masks = loaded.dropout.map((site): [string, Tensor] => [
              site.name,
              dropoutMask(site, dropout),
            ]);
            const outputs = await run(loaded, params, trainFeeds(batch, batchLoss, masks));
            return { loss: lossIn(outputs, batchLoss).loss, grads: gradientsIn(outputs, names) };
          }
        : undefined,
    async loss(params, batch, batchLoss) {
      const shape = targetShape(batch);
      const label = `loss ${describe(shape)}, ${batchLoss.form}`;
      const build = () => trainProgram(model, tuning, shape, { training: false }, batchLoss, []);
      const feeds = new Map([...sequenceFeeds(batch), ...targetFeeds(batch), ...batchLoss.feeds]);
      return lossIn(await run(await session(label, build), params, feeds), batchLoss);
    },
    async score(params, batch) {
      const shape = targetShape(batch);
      const build = () => ({ graph: scoreProgram(model, tuning, shape) });
      const loaded = await session(`score ${describe(shape)}`, build);
      const outputs = await run(loaded, params, new Map([...sequenceFeeds(batch), ...targetFeeds(batch)]));
      return { nll: float32(outputs, 'nll').data, argMax: outputs.get('argMax')!.data as Int32Array };
    },
    async likeliest(params, batch, { topK, temperature }) {
      const shape = targetShape(batch);
      const k = Math.min(topK, model.definition.shape.numLogits);
      const build = () => ({ graph: likeliestProgram(model, tuning, shape, { topK: k, temperature }) });
      const label = `${k} likeliest at temperature ${temperature} ${describe(shape)}`;
      const outputs = await run(
        await session(label, build),
        params,
        new Map([...sequenceFeeds(batch), ...targetFeeds(batch)]),
      );
      const data = (name: string) => float32(outputs, name).data;
      const ids = outputs.get('ids')!.data as Int32Array;
      return { k, ids, probabilities: data('probabilities'), nll: data('nll') };
    },
    async logits(params, batch) {
      const { batchSize, length } = batch;
      const build = () => ({ graph: logitsProgram(model, tuning, { batchSize, length }) });
      const loaded = await session(`logits ${batchSize}×${length}`, build);
      return float32(await run(loaded, params, sequenceFeeds(batch)), 'logits').data;
    },
    async decode(params, shape, feeds, options) {
      const build = () => ({ graph: decodeProgram(model, tuning, shape) });
      const { batchSize, length, capacity, maxPositions } = shape;
      const label = `decode ${batchSize}×${length} over ${capacity} below ${maxPositions}`;
      const loaded = await session(label, build, { ...options, sequential: true });
      return run(loaded, params, feeds);
    },
    async prefix(params) {
      const build = () => ({ graph: prefixProgram(model, tuning) });
      return run(await session('prefix', build, { sequential: true }), params, new Map());
    },
  };
}

function lossIn(outputs: ReadonlyMap<string, Tensor>, { figures }: BatchLoss): Omit<Differentiated, 'grads'> {
  return { loss: float32(outputs, 'loss').data[0]!, figures: figures?.(outputs) ?? {} };
}

function gradientsIn(
  outputs: ReadonlyMap<string, Tensor>,
  names: readonly string[],
): Map<string, Tensor<'float32'>> {
  return new Map(names.map((name) => [name, float32(outputs, gradientOutput(name))]));
}

function trainedNames(
  { untrained = NOTHING }: BoundTuning,
  tensors: BoundTuning['tensors'],
  frozen: ReadonlySet<string>,
): string[] {
  return tensors.map(({ name }) => name).filter((name) => !frozen.has(name) && !untrained.has(name));
}

const NOTHING: ReadonlySet<string> = new Set();
/** Sessions for parts of the network that live at the same time. */
const PARTS_KEPT = 8;

function targetShape(batch: Batch) {
  return { batchSize: batch.batchSize, length: batch.length, numSlots: batch.targetIndex.length };
}

function describe(shape: ReturnType<typeof targetShape>): string {
  return `${shape.batchSize}×${shape.length}, ${shape.numSlots} targets`;
}

/** Tokens behind cached virtual positions begin at position P; batches number them from 0. */
function feedsOf(batch: SequenceBatch, virtual: VirtualPositions | undefined): Map<string, Tensor> {
  const shape = [batch.batchSize, batch.length];
  const first = virtual?.as === 'cache' ? virtual.count : 0;
  const positions = first === 0 ? batch.positions : batch.positions.map((position) => position + first);
  return new Map([
    ['tokens', tensor('int32', shape, batch.tokens)],
    ['positions', tensor('int32', shape, positions)],
    ['segments', tensor('int32', shape, batch.segments)],
  ]);
}

function targetFeeds({ targetIndex, targetIds }: Batch): [string, Tensor][] {
  const shape = [targetIndex.length];
  return [
    ['targetIndex', tensor('int32', shape, targetIndex)],
    ['targetIds', tensor('int32', shape, targetIds)],
  ];
}

/** true = kept. Each site has its own stream, so that a mask does not depend on which other sites there are. */
export function dropoutMask(site: DropoutSite, random: Rng): Tensor<'bool'> {
  const stream = random.split(site.name);
  const threshold = site.dropoutProbability * 2 ** 32;
  const mask = new Uint8Array(sizeOf(site.shape));
  for (let i = 0; i < mask.length; i++) mask[i] = stream.uint32() >= threshold ? 1 : 0;
  return tensor('bool', site.shape, mask);
}

function float32(outputs: ReadonlyMap<string, Tensor>, name: string): Tensor<'float32'> {
  const value = outputs.get(name);
  assert(value?.dtype === 'float32', `the program returned no float32 ${name}`);
  return value as Tensor<'float32'>;
}

function checkPositions(
  positions: Tensor | undefined,
  maxPositionEmbeddings: number,
  virtual: VirtualPositions | undefined,
): void {
  if (positions === undefined) return;
  const largest = (positions.data as Int32Array).reduce((a, b) => Math.max(a, b), 0);
  if (largest < maxPositionEmbeddings) return;
  const { count } = virtual ?? { count: 0 };
  const ofThem = count === 0 ? '' : ` (${count} of them virtual)`;
  throw new HeadwaterError(
    'OPTION_INVALID',
    `a sequence of ${largest + 1} tokens${ofThem} exceeds the model's ${maxPositionEmbeddings} positions`,
    { hint: `Set data.maxLength to at most ${maxPositionEmbeddings - count}.` },
  );
}

function checkParams(tuning: BoundTuning, params: Params): void {
  assert(
    params.size === tuning.tensors.length,
    `${params.size} parameters for ${tuning.tensors.length} trained tensors`,
  );
  for (const { name, shape } of tuning.tensors) {
    const value = params.get(name);
    assert(
      value !== undefined && sameShape(value.shape, shape),
      `${name} is [${value?.shape}], expected [${shape}]`,
    );
  }
}
