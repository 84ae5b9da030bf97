import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { HeadwaterError } from '../base/errors.ts';
import { zeros } from '../base/tensor.ts';
import { openCheckpoint } from './checkpoint-node.ts';
import { readSafetensors, writeSafetensorsFile } from './safetensors-node.ts';

const LLAMA = join(import.meta.dirname, '../../test/fixtures/huggingface/llama');
const work = mkdtempSync(join(tmpdir(), 'headwater-foreign-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

let count = 0;
function copy(config: object = {}): string {
  const folder = join(work, String(count++));
  cpSync(LLAMA, folder, { recursive: true });
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...config }));
  return folder;
}

async function refused(folder: string): Promise<HeadwaterError> {
  const error = await openCheckpoint(folder).then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(HeadwaterError);
  expect((error as HeadwaterError).code).toBe('MODEL_UNSUPPORTED');
  expect((error as HeadwaterError).hint).toContain('headwater quantize');
  return error as HeadwaterError;
}

describe('a checkpoint that somebody else has quantized', () => {
  it.each([
    [{ quant_method: 'gptq', bits: 4, group_size: 128, desc_act: false }, 'GPTQ, 4 bits'],
    [{ quant_method: 'awq', bits: 4, version: 'gemm' }, 'AWQ, 4 bits'],
    [
      { quant_method: 'bitsandbytes', load_in_4bit: true, bnb_4bit_quant_type: 'nf4' },
      'bitsandbytes, 4 bits',
    ],
    [{ load_in_8bit: true, llm_int8_threshold: 6 }, 'bitsandbytes, 8 bits'],
    [{ quant_method: 'fp8', weight_block_size: [128, 128] }, 'FP8'],
    [{ quant_method: 'somethingNew' }, '"somethingNew"'],
    [{}, 'an unknown method'],
  ])('is refused by its configuration %j', async (settings, name) => {
    const error = await refused(copy({ quantization_config: settings }));
    expect(error.message).toContain(`quantized with ${name} (quantization_config`);
    expect(error.where).toContain('config.json');
  });

  it.each([
    ['model.layers.0.self_attn.q_proj.qweight', 'GPTQ or AWQ'],
    ['model.layers.0.self_attn.q_proj.weight.absmax', 'bitsandbytes'],
    ['model.layers.0.self_attn.q_proj.SCB', 'bitsandbytes'],
  ])('is refused by its tensor %s', async (name, method) => {
    const folder = copy();
    const file = join(folder, 'model.safetensors');
    const { tensors } = await readSafetensors(file);
    await writeSafetensorsFile(file, new Map([...tensors, [name, zeros('int32', [2, 2])]]));
    const error = await refused(folder);
    expect(error.message).toContain(method);
    expect(error.message).toContain(name);
  });

  it('is refused as llama.cpp’s, whatever else is missing', async () => {
    const bare = join(work, 'gguf');
    mkdirSync(bare);
    writeFileSync(join(bare, 'model-q4_0.gguf'), 'GGUF');
    expect((await refused(bare)).message).toContain('llama.cpp’s format (model-q4_0.gguf)');
    expect((await refused(join(bare, 'model-q4_0.gguf'))).message).toContain('model-q4_0.gguf');
    const configured = copy();
    rmSync(join(configured, 'model.safetensors'));
    writeFileSync(join(configured, 'model.gguf'), 'GGUF');
    expect((await refused(configured)).message).toContain('model.gguf');
  });

  it('is not seen where a configuration only says null', async () => {
    await expect(openCheckpoint(copy({ quantization_config: null }))).resolves.toBeDefined();
  });
});
