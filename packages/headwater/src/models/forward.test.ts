import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type Tensor, tensor } from '../base/tensor.ts';
import { Graph, type RefTensor, type Value } from '../graph/ir.ts';
import { add, matmul, reshape, softmax } from '../graph/ops/index.ts';
import { logitsOf, softCapped } from '../graph/projection.ts';
import { interpret } from '../graph/reference.ts';
import { baseSites } from './base-sites.ts';
import { openCheckpoint } from './checkpoint-node.ts';
import type { Attend, Model } from './model.ts';
import { readSafetensors } from './safetensors-node.ts';

const fixtures = fileURLToPath(new URL('../../test/fixtures/', import.meta.url));

/** Plain causal attention; a window, where the layer has one, hides what is further back. */
function causal(length: number): Attend {
  return (_layer, q, k, v, { scale, softCap, window = length }) => {
    const [batch, heads, , dim] = q.shape as [number, number, number, number];
    const groups = k.shape[1] as number;
    const mask = Float32Array.from({ length: length * length }, (_, flat) => {
      const [i, j] = [Math.floor(flat / length), flat % length];
      return j <= i && j > i - window ? 0 : -1e9;
    });
    const grouped = reshape(q, [batch, groups, heads / groups, length, dim]);
    const shared = (x: Value) => reshape(x, [batch, groups, 1, length, dim]);
    const products = matmul(grouped, shared(k), { transB: true, alpha: scale });
    const scores = softCap === undefined ? products : softCapped(products, softCap);
    const visible = add(scores, q.graph.constant(tensor('float32', [length, length], mask)));
    return reshape(matmul(softmax(visible), shared(v)), [batch, heads, length, dim]);
  };
}

/** Logits [B·T, V] of the float64 interpreter. */
async function logitsAt(
  model: Model,
  folder: string,
  ids: Tensor,
  maxPositions?: number,
): Promise<RefTensor> {
  const [batch, length] = ids.shape as [number, number];
  const graph = new Graph();
  const sites = baseSites(graph, model);
  const hidden = model.definition.forward({
    sites,
    tokens: graph.input('tokens', 'int32', [batch, length]),
    positions: graph.input('positions', 'int32', [batch, length]),
    attend: causal(length),
    block: (_layer, x, body) => body(x),
    ...(maxPositions === undefined ? {} : { maxPositions }),
  });
  graph.output('logits', logitsOf(model.definition.output(sites, hidden)));
  const positions = Int32Array.from({ length: batch * length }, (_, i) => i % length);
  const feeds = new Map<string, Tensor>([
    ['tokens', tensor('int32', ids.shape, Int32Array.from(ids.data as BigInt64Array, Number))],
    ['positions', tensor('int32', ids.shape, positions)],
  ]);
  const { tensors } = await readSafetensors(`${folder}/model.safetensors`);
  const weights = new Map(
    [...model.definition.parameters.keys()].map((name): [string, Tensor] => {
      const stored = [name, ...model.definition.otherNames(name)].find((other) => tensors.has(other));
      return [name, tensors.get(stored ?? name) as Tensor];
    }),
  );
  return interpret(graph, feeds, weights).get('logits') as RefTensor;
}

/** ‖a − b‖ / ‖b‖ over the rows where `counted` is 1. */
function relativeError(a: Float64Array, b: Float32Array, width: number, counted?: BigInt64Array): number {
  let [difference, reference] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    if (counted?.[Math.floor(i / width)] === 0n) continue;
    difference += ((a[i] as number) - (b[i] as number)) ** 2;
    reference += (b[i] as number) ** 2;
  }
  return Math.sqrt(difference / reference);
}

function foldersIn(place: string): string[] {
  return readdirSync(`${fixtures}${place}`, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(entry.parentPath, entry.name, 'config.json')))
    .map(({ name }) => name);
}

/** Decoders; encoders see in both directions. */
const HUGGING_FACE = foldersIn('huggingface').filter((name) => !name.endsWith('-cls'));
const VARIANTS = foldersIn('model-variants');

describe('forward in float64 against transformers', () => {
  it.each(HUGGING_FACE)('%s', async (name) => {
    const folder = `${fixtures}huggingface/${name}`;
    const model = await openCheckpoint(folder);
    const { tensors } = await readSafetensors(`${folder}/reference.safetensors`);
    const logits = await logitsAt(model, folder, tensors.get('input_ids') as Tensor);
    const expected = tensors.get('base.logits') as Tensor<'float32'>;
    const mask = (tensors.get('attention_mask') as Tensor<'int64'>).data;
    expect(logits.data).toHaveLength(expected.data.length);
    expect(relativeError(logits.data, expected.data, model.definition.shape.vocabSize, mask)).toBeLessThan(
      3e-6,
    );
  });

  it.each(VARIANTS)('%s', async (name) => {
    const folder = `${fixtures}model-variants/${name}`;
    const model = await openCheckpoint(folder);
    const { tensors } = await readSafetensors(`${folder}/reference.safetensors`);
    const ids = tensors.get('input_ids') as Tensor;
    const logits = await logitsAt(model, folder, ids, ids.shape[1] as number);
    const expected = tensors.get('logits') as Tensor<'float32'>;
    for (const { dtype } of model.storedTypes.values()) expect(dtype).toBe('bfloat16');
    expect(relativeError(logits.data, expected.data, model.definition.shape.vocabSize)).toBeLessThan(3e-6);
  });
});
