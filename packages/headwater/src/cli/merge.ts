/** `headwater merge`: adapters written into the weights of their base model. */

import { Command } from 'commander';
import { formatBytes } from '../base/format.ts';
import { mergeModel } from '../exports/merge-model.ts';
import { openBase } from './open-model.ts';
import { commaSeparated } from './options.ts';
import { readWeightedAdapters, weightedAdapterOption } from './weighted-adapters.ts';

interface MergeOptions {
  readonly model: string;
  readonly adapter: readonly string[];
  readonly out: string;
  readonly labels?: readonly string[];
}

export function mergeCommand(): Command {
  return new Command('merge')
    .description('write adapters into the weights of their base model: a folder that loads without PEFT')
    .requiredOption('--model <model>', 'the base: folder or hub id owner/name')
    .addOption(
      weightedAdapterOption(
        'PEFT adapter to write in; may be given several times, with weights',
      ).makeOptionMandatory(),
    )
    .requiredOption('--out <folder>', 'new folder for the merged model')
    .option('--labels <names>', 'classes, for an encoder without head of its own: a,b,c', commaSeparated)
    .action(merge);
}

async function merge({ model: source, adapter, out, labels }: MergeOptions): Promise<void> {
  const model = await openBase(source, labels);
  const adapters = await readWeightedAdapters(adapter, model);
  const { numTensors, numChanged, files, sizeBytes } = await mergeModel(model, adapters, out);
  const inFiles = files.length === 1 ? files[0] : `${files.length} files`;
  console.log(
    `${numChanged} of ${numTensors} tensors changed, ${formatBytes(sizeBytes)} in ${inFiles}: ${out}`,
  );
}
