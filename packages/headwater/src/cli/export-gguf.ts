/** `headwater export-gguf`: a model, or an adapter alone, as a GGUF file for llama.cpp. */

import { Command, Option } from 'commander';
import { HeadwaterError } from '../base/errors.ts';
import { formatBytes } from '../base/format.ts';
import { exportAdapterGguf } from '../exports/gguf/export-adapter.ts';
import { exportModelGguf, type GgufFile } from '../exports/gguf/export-model.ts';
import { GGUF_TENSOR_TYPES, type GgufTensorType } from '../exports/gguf/format.ts';
import { openBase } from './open-model.ts';
import { readWeightedAdapters, weightedAdapterOption } from './weighted-adapters.ts';

interface ExportGgufOptions {
  readonly model: string;
  readonly adapter?: readonly string[];
  readonly adapterOnly?: true;
  readonly out: string;
  readonly type: GgufTensorType;
}

export function exportGgufCommand(): Command {
  return new Command('export-gguf')
    .description('write a model as a GGUF file for llama.cpp, with adapters merged in or without')
    .requiredOption('--model <model>', 'the base: folder or hub id owner/name')
    .addOption(weightedAdapterOption('PEFT adapter to merge in; may be given several times, with weights'))
    .option(
      '--adapter-only',
      'write the LoRA adapter itself, for llama.cpp to put on a GGUF file of the base',
    )
    .requiredOption('--out <file>', 'new .gguf file')
    .addOption(
      new Option('--type <type>', 'how matrices are stored')
        .choices(Object.keys(GGUF_TENSOR_TYPES))
        .default('f16'),
    )
    .action(exportGguf);
}

async function exportGguf(options: ExportGgufOptions): Promise<void> {
  const { out, type } = options;
  const model = await openBase(options.model);
  const adapters = await readWeightedAdapters(options.adapter ?? [], model);
  const [adapter] = adapters;
  if (options.adapterOnly && (adapter === undefined || adapters.length > 1))
    throw new HeadwaterError('OPTION_INVALID', `--adapter-only with ${adapters.length} adapters`, {
      hint: 'Give one adapter: a file holds one.',
    });
  if (options.adapterOnly && adapter !== undefined) {
    show(await exportAdapterGguf(model, adapter, out, { type }), out);
    return;
  }
  const file = await exportModelGguf(model, adapters, out, { type });
  show(file, out);
  const { maxPositionEmbeddings } = model.definition.shape;
  if (file.contextLength < maxPositionEmbeddings)
    console.log(
      `The file declares ${file.contextLength} positions of ${maxPositionEmbeddings}: beyond them llama.cpp computes something else (it has no sliding window here, and one set of LongRoPE divisors).`,
    );
}

function show({ numTensors, sizeBytes }: GgufFile, out: string): void {
  console.log(`${numTensors} tensors, ${formatBytes(sizeBytes)}: ${out}`);
}
