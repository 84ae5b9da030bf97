import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { distance, FIXTURES, toyExamples } from '../../test/training-setup.ts';
import { HeadwaterError } from '../base/errors.ts';
import { rng } from '../base/random.ts';
import { tensor } from '../base/tensor.ts';
import { Graph } from '../graph/ir.ts';
import { dequantize } from '../graph/ops/index.ts';
import { interpret } from '../graph/reference.ts';
import { openCheckpoint, readWeight } from '../models/checkpoint-node.ts';
import type { Model } from '../models/model.ts';
import { computingDigest } from '../models/quantization-choice.ts';
import { quantizeMatrix } from '../models/quantize-blocks.ts';
import { openQuantized } from '../models/quantized-node.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { lora } from '../tuning/lora.ts';
import { createEngine } from './engine-core.ts';
import { besideFolder, quantizedModel, writeQuantized } from './quantized-model-node.ts';

const work = mkdtempSync(join(tmpdir(), 'headwater-quantized-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const original = await openCheckpoint(join(FIXTURES, 'models/stories260K'));
const tuning = lora.bind(lora.options.parse({ rank: 4, targetModules: 'all-linear' }), original.definition);
const fresh = await tuning.init(rng('quantized'), (name) => readWeight(original.weights, name));
const params = new Map(
  [...fresh].map(([name, value]) => {
    const random = rng('quantized', name);
    return [name, { ...value, data: value.data.map(() => 0.1 * random.normal()) }];
  }),
);
const examples = toyExamples([9, 17, 12], original.definition.shape.vocabSize);

async function gradientsOf(model: Model, options: { prepack?: boolean; recompute?: boolean } = {}) {
  const executor = createNodeExecutor({ prepack: options.prepack ?? false });
  const engine = createEngine({ model, tuning, executor, recompute: options.recompute ?? false });
  const result = await engine.gradients(params, examples, { maxLength: 64 });
  await executor.dispose();
  return result;
}

/** The model with each quantized matrix as the float32 values that its blocks mean. */
async function widened(model: Model): Promise<Model> {
  const { bits, blockSize, modules } = model.quantized!;
  const tensors = new Map<string, ReturnType<typeof tensor<'float32'>>>();
  for (const module of modules.values()) {
    const name = `${module.module}.weight`;
    const shape = [module.outFeatures, module.inFeatures] as const;
    const arrays = quantizeMatrix(await readWeight(model.weights, name), shape, { bits, blockSize });
    const graph = new Graph();
    const constant = (array: Uint8Array | Float32Array, dims: readonly number[]) =>
      graph.constant(
        array instanceof Float32Array ? tensor('float32', dims, array) : tensor('uint8', dims, array),
      );
    const matrix = dequantize({
      ...{ bits, blockSize },
      packed: constant(arrays.packed, [shape[0], arrays.packed.length / shape[0]]),
      scales: constant(arrays.scales, [shape[0], shape[1] / blockSize]),
      zeroPoints: constant(arrays.zeroPoints, [arrays.zeroPoints.length]),
    });
    graph.output('w', matrix);
    const values = Float32Array.from(interpret(graph, new Map()).get('w')!.data);
    tensors.set(name, tensor('float32', shape, values));
  }
  const { quantized: _, ...rest } = model;
  const locate: Model['weights']['locate'] = (name) => {
    const own = tensors.get(name);
    return own === undefined ? model.weights.locate(name) : { kind: 'memory', tensor: own };
  };
  const types = [...tensors].map(([name, { shape }]) => [name, { dtype: 'float32', shape }] as const);
  return { ...rest, weights: { locate }, storedTypes: new Map([...model.storedTypes, ...types]) };
}

async function refusal(work: Promise<unknown>): Promise<HeadwaterError> {
  const error = await work.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(HeadwaterError);
  return error as HeadwaterError;
}

describe.each([
  { bits: 8, blockSize: 32, kind: 'int8' },
  { bits: 4, blockSize: 32, kind: 'int4' },
  { bits: 4, blockSize: 64, kind: 'int4' },
] as const)('$bits bit blocks of $blockSize', ({ bits, blockSize, kind }) => {
  const folder = join(work, `int${bits}-${blockSize}`);
  const quantized = (async () => {
    await writeQuantized(original, { bits, blockSize }, folder);
    return openQuantized(original, folder);
  })();

  it('train LoRA with the gradients of a model whose weights are the widened blocks', async () => {
    const model = await quantized;
    expect(model.quantized!.modules.size).toBeGreaterThan(0);
    const expected = await gradientsOf(await widened(model));
    for (const options of [{}, { prepack: true }]) {
      const actual = await gradientsOf(model, options);
      expect(Math.abs(actual.loss - expected.loss)).toBeLessThan(1e-5 * expected.loss);
      expect(distance(actual.grads, expected.grads)).toBeLessThan(2e-5);
    }
    // The comparison can fail: the checkpoint's own weights give others.
    const float = await gradientsOf(original);
    expect(distance(float.grads, expected.grads)).toBeGreaterThan(1e-3);
  });

  it('give the same bits when blocks of the network are computed again', async () => {
    const model = await quantized;
    expect(await gradientsOf(model, { recompute: true })).toEqual(await gradientsOf(model));
  });

  it('have an identity that every client computes from its checkpoint', async () => {
    const digest = await (await quantized).digest();
    expect(digest).toBe(computingDigest(await original.digest(), { kind, blockSize }));
    expect(digest).not.toBe(await original.digest());
    expect(digest).not.toBe(computingDigest(await original.digest(), { kind: 'int8', blockSize: 64 }));
  });
});

describe('the folder of quantized weights', () => {
  const copyOf = async (name: string) => {
    const folder = join(work, name);
    cpSync(join(FIXTURES, 'models/stories260K'), folder, { recursive: true });
    return folder;
  };
  const format = { bits: 8, blockSize: 32 } as const;
  const choice = { kind: 'int8', blockSize: 32 } as const;

  it('is found beside the checkpoint and made in the cache where it is not', async () => {
    const folder = await copyOf('found');
    const model = await openCheckpoint(folder);
    process.env.XDG_CACHE_HOME = join(work, 'cache');
    const cached = await quantizedModel(model, choice);
    expect(cached.quantized!.folder).toContain(join(work, 'cache'));
    expect((await quantizedModel(model, choice)).quantized!.folder).toBe(cached.quantized!.folder);
    await writeQuantized(model, format, besideFolder(model, format));
    expect((await quantizedModel(model, choice)).quantized!.folder).toBe(besideFolder(model, format));
    expect(await quantizedModel(model, { kind: 'none', blockSize: 32 })).toBe(model);
  });

  it('is taken from where the recipe says, if it is what the recipe asks for', async () => {
    const folder = join(work, 'elsewhere');
    await writeQuantized(original, format, folder);
    expect((await quantizedModel(original, { ...choice, folder })).quantized!.folder).toBe(folder);
    const error = await refusal(quantizedModel(original, { ...choice, kind: 'int4', folder }));
    expect(error.message).toBe('the weights are int8-32, the recipe asks for int4-32');
    const nowhere = await refusal(quantizedModel(original, { ...choice, folder: join(work, 'nowhere') }));
    expect(nowhere.code).toBe('MODEL_NOT_FOUND');
  });

  it('is refused when the checkpoint has changed, not when it was only touched', async () => {
    const folder = await copyOf('changed');
    const model = await openCheckpoint(folder);
    await writeQuantized(model, format, besideFolder(model, format));
    const weights = join(folder, 'model.safetensors');
    utimesSync(weights, 1, 1);
    expect((await quantizedModel(await openCheckpoint(folder), choice)).quantized).toBeDefined();
    const bytes = readFileSync(weights);
    bytes[bytes.length - 3]! ^= 1;
    writeFileSync(weights, bytes);
    const error = await refusal(quantizedModel(await openCheckpoint(folder), choice));
    expect(error.code).toBe('MODEL_INVALID');
    expect(error.message).toContain('not the one that was quantized');
    expect(error.hint).toContain('headwater quantize');
  });

  it.each([
    ['a shorter file', (file: string) => truncateSync(file, 1000), /bytes|Incomplete|Header/i],
    ['other bytes', (file: string) => flipLast(file), /its bytes/],
    ['an entry of another format', (file: string) => newFormat(file), /format/],
    ['no weights', (file: string) => rmSync(file), /read the file|no such file/i],
  ])('is refused with %s', async (name, damage, message) => {
    const folder = join(work, name.replaceAll(' ', '-'));
    await writeQuantized(original, format, folder);
    damage(join(folder, 'quantized.safetensors'));
    const error = await refusal(openQuantized(original, folder).then((model) => model.digest()));
    expect(['MODEL_INVALID', 'SAFETENSORS_INVALID', 'STORAGE_FAILED']).toContain(error.code);
    expect(error.message).toMatch(message);
    expect(error.where).toContain(folder);
  });

  it('is not there at all when a weight cannot be rounded', async () => {
    const folder = await copyOf('nan');
    const model = await openCheckpoint(folder);
    const [first] = model.definition.linears;
    const location = model.weights.locate(`${first!.module}.weight`);
    if (location.kind !== 'file') throw new Error('the fixture is a file');
    const bytes = readFileSync(location.path);
    bytes.fill(0xff, location.offsetBytes, location.offsetBytes + 4);
    writeFileSync(location.path, bytes);
    const out = join(folder, 'out');
    const error = await refusal(
      writeQuantized(await openCheckpoint(folder, { checkFinite: false }), format, out),
    );
    expect(error.message).toMatch(/NaN or infinity/);
    expect(existsSync(out)).toBe(false);
    expect(readdirSync(folder).filter((file) => file.startsWith('out'))).toEqual([]);
  });
});

function flipLast(file: string): void {
  const bytes = readFileSync(file);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(file, bytes);
}

function newFormat(file: string): void {
  const entry = file.replace('quantized.safetensors', 'quantization.json');
  writeFileSync(entry, readFileSync(entry, 'utf8').replace('headwater-blocks-1', 'headwater-blocks-2'));
}
