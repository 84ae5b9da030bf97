/** `headwater quantize`: base weights rounded to 8 or 4 bits, once, beside the checkpoint. */

import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { formatBytes } from '../base/format.ts';
import { sizeBytes, sizeOf } from '../base/tensor.ts';
import type { BlockFormat } from '../graph/ops/index.ts';
import type { Model } from '../models/model.ts';
import { quantizedModules, quantizedTypes } from '../models/quantized-format.ts';
import { besideFolder, writeQuantized } from '../training/quantized-model-node.ts';
import { openBase } from './open-model.ts';

interface QuantizeOptions {
  readonly bits: string;
  readonly block: string;
  readonly out?: string;
}

export function quantizeCommand(): Command {
  return new Command('quantize')
    .description('write the linear modules of a model as 8 or 4 bit blocks, beside the checkpoint')
    .argument('<model>', 'folder or hub id')
    .addOption(new Option('--bits <n>', 'bits of a weight').choices(['8', '4']).default('8'))
    .addOption(
      new Option('--block <n>', 'weights that share a scale and a zero point')
        .choices(['32', '64'])
        .default('32'),
    )
    .option('--out <folder>', 'where to; default: quantized-int<bits>-<block> in the model’s folder')
    .action(quantize);
}

async function quantize(source: string, options: QuantizeOptions): Promise<void> {
  const model = await openBase(source);
  const format: BlockFormat = { bits: options.bits === '4' ? 4 : 8, blockSize: Number(options.block) };
  const folder = options.out === undefined ? besideFolder(model, format) : resolve(options.out);
  await writeQuantized(model, format, folder, showProgress());
  const { before, after, count } = sizes(model, format);
  console.log(`${folder}: ${count} modules, ${formatBytes(before)} → ${formatBytes(after)}`);
}

function showProgress(): ((done: number, total: number) => void) | undefined {
  if (!process.stderr.isTTY) return undefined;
  return (done, total) => process.stderr.write(`\r${done} of ${total} modules${done === total ? '\n' : ''}`);
}

function sizes(model: Model, format: BlockFormat) {
  const modules = quantizedModules(model.definition, format);
  let [before, after] = [0, 0];
  for (const module of modules) {
    const { dtype } = model.storedTypes.get(`${module.module}.weight`)!;
    before += sizeOf([module.inFeatures, module.outFeatures]) * (dtype === 'float32' ? 4 : 2);
    for (const type of Object.values(quantizedTypes(module, format))) after += sizeBytes(type);
  }
  return { before, after, count: modules.length };
}
