import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  BASE,
  continuedHere,
  type Trained,
  trainedHere,
} from '../../test/fixtures/round-trip/write-adapters.ts';
import { distance, FIXTURES } from '../../test/training-setup.ts';
import { openCheckpoint } from '../models/checkpoint-node.ts';
import { readSafetensors } from '../models/safetensors-node.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { frozen } from '../tuning/frozen.ts';
import { readAdapterFolder } from './adapter-folder-node.ts';
import { createEngine } from './engine-core.ts';
import { relativeError } from './verify.ts';

const folder = join(FIXTURES, 'round-trip');
const { tensors: golden } = await readSafetensors(join(folder, 'peft-logits.safetensors'));
const tokens = golden.get('tokens')!.data as Int32Array;
const model = await openCheckpoint(BASE);

function error(got: Float32Array, what: string): number {
  const reference = golden.get(what)!.data as Float32Array;
  return relativeError({ name: what, got: got.subarray(0, reference.length), reference });
}

async function logits({ tuning, params }: Trained): Promise<Float32Array> {
  const executor = createNodeExecutor();
  const result = await createEngine({ model, tuning, executor }).logits(params, tokens);
  await executor.dispose();
  return result;
}

describe('a round trip between Headwater and PEFT', () => {
  it.each(['trained-here', 'from-peft', 'continued-here'])(
    '%s has the logits here that PEFT computes from it',
    async (name) => {
      const adapter = await readAdapterFolder(join(folder, name), model.definition);
      expect(adapter.baseModel).toBe('llama');
      expect(error(await logits(adapter), name)).toBeLessThan(1e-6);
      // The adapter matters: the base alone is far off.
      expect(error(await logits({ tuning: frozen, params: new Map() }), name)).toBeGreaterThan(0.02);
    },
  );

  it.each([
    ['trained-here', trainedHere],
    ['continued-here', continuedHere],
  ] as const)('%s comes out of the same training again', async (name, train) => {
    const { params } = await readAdapterFolder(join(folder, name), model.definition);
    const again = await train();
    expect(distance(again.params, params)).toBeLessThan(1e-3);
    expect(error(await logits(again), name)).toBeLessThan(1e-3);
  });

  it('goes on from PEFT: the continued adapter is neither the one it began with nor far from it', async () => {
    const [before, after] = await Promise.all(
      ['from-peft', 'continued-here'].map((name) => readAdapterFolder(join(folder, name), model.definition)),
    );
    expect(distance(after!.params, before!.params)).toBeGreaterThan(0.01);
    expect(distance(after!.params, before!.params)).toBeLessThan(0.5);
  });
});
