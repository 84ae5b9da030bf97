import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { refusal } from '../../test/support/outcome.ts';
import { toy } from '../../test/support/toy-network.ts';
import { FIXTURES } from '../../test/training-setup.ts';
import type { TuningKind } from '../tuning/kind.ts';
import { lora } from '../tuning/lora.ts';
import { chosenTuning } from './chosen-tuning.ts';
import { train } from './train-node.ts';

/** A plug-in's kind: LoRA on queries. */
const queries: TuningKind<{ rank: number }> = {
  id: 'queries',
  summary: 'low-rank updates of queries',
  options: z.strictObject({ rank: z.int().positive() }),
  bind: ({ rank }, layout) => ({
    ...lora.bind(lora.options.parse({ rank, targetModules: ['q_proj'] }), layout),
    kind: 'queries',
  }),
  fromAdapterConfig: () => undefined,
};

describe('the tuning of train()', () => {
  it('is LoRA on all linear modules unless something else is named', () => {
    const plain = chosenTuning({}, toy);
    expect(plain).toMatchObject({ kind: 'lora', options: { rank: 8, alpha: 16 } });
    expect(plain.tensors).toHaveLength(2 * toy.linears.length);
    expect(chosenTuning({ lora: { rank: 2 } }, toy).options).toMatchObject({ rank: 2, alpha: 16 });
    expect(chosenTuning({ tuning: { kind: 'ia3' } }, toy).kind).toBe('ia3');
    const tuning = { kind: 'queries', rank: 3 };
    const plugged = chosenTuning({ tuning, tuningKinds: [queries as TuningKind<unknown>] }, toy);
    expect(plugged).toMatchObject({ kind: 'queries' });
    expect(plugged.tensors).toHaveLength(4);
  });

  it('is refused where it makes no sense', () => {
    const wrong = (choice: Parameters<typeof chosenTuning>[0]) => refusal(() => chosenTuning(choice, toy));
    expect(wrong({ tuning: { kind: 'dorra' } }).message).toContain('did you mean "dora"?');
    expect(wrong({ tuning: { kind: 'dora', rank: 0 } }).message).toContain('rank');
    expect(wrong({ tuning: { kind: 'dora', speed: 1 } }).message).toContain('speed');
    expect(wrong({ tuning: { kind: 'ia3' }, lora: {} }).message).toContain('both');
    expect(wrong({ tuning: { kind: 'head' } }).code).toBe('OPTION_INVALID');
  });
});

describe('train()', () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'headwater-train-'));
    const rows = ['prompt,answer', 'cats say, meow', 'dogs say, woof', ''];
    await writeFile(join(root, 'train.csv'), rows.join('\n'));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  it.each([
    ['dora', { rank: 2 }, 'LORA'],
    ['layers', { layers: 'last:1' }, 'LAYERS'],
  ])('trains with kind %s and writes what it trained', async (kind, options, peftType) => {
    const out = join(root, kind);
    const { steps } = await train({
      model: join(FIXTURES, 'models/stories260K'),
      data: {
        files: join(root, 'train.csv'),
        schema: { kind: 'prompt-completion', prompt: '{prompt}', completion: '{answer}', chat: false },
      },
      ...{ tuning: { kind, ...options }, steps: 6, batchSize: 2, maxLength: 32, out },
      optimizer: { learningRate: 0.01 },
    });
    expect(steps.at(-1)!.loss).toBeLessThan(0.8 * steps[0]!.loss);
    const config = JSON.parse(await readFile(join(out, 'adapter_config.json'), 'utf8'));
    expect(config.peft_type).toBe(peftType);
  });

  it('writes a whole model where all of it is trained', async () => {
    const out = join(root, 'full');
    await train({
      model: join(FIXTURES, 'models/stories260K'),
      data: {
        files: join(root, 'train.csv'),
        schema: { kind: 'prompt-completion', prompt: '{prompt}', completion: '{answer}', chat: false },
      },
      ...{ tuning: { kind: 'full' }, steps: 1, batchSize: 2, maxLength: 32, out },
    });
    expect(JSON.parse(await readFile(join(out, 'config.json'), 'utf8')).model_type).toBe('llama');
  });
});
