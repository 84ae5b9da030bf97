/** A model folder or hub repository: architecture, sizes, text side, what can be tuned. */

import { HeadwaterError } from '../../base/errors.ts';
import { formatBytes, formatCount } from '../../base/format.ts';
import { sizeBytes, sizeOf } from '../../base/tensor.ts';
import type { Model, ModelDefinition } from '../../models/model.ts';
import type { LoadedTokenizer } from '../../models/tokenizer-folder.ts';
import { loadTokenizer } from '../../models/tokenizer-node.ts';
import { openBase } from '../open-model.ts';
import type { Inspection } from './inspection.ts';

export async function inspectModel(source: string): Promise<Inspection> {
  const model = await openBase(source, async () => UNKNOWN_CLASSES);
  const { definition, storedTypes } = model;
  const types = [...storedTypes.values()];
  const numParameters = types.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const { shape } = definition;
  return {
    kind: 'model',
    name: source,
    facts: {
      folder: model.folder,
      architecture: definition.architecture,
      parameters: formatCount(numParameters),
      'on disk': `${formatBytes(types.reduce((sum, type) => sum + sizeBytes(type), 0))}, ${[...new Set(types.map(({ dtype }) => dtype))].join(' and ')}`,
      layers: String(shape.numHiddenLayers),
      'hidden size': String(shape.hiddenSize),
      heads: `${shape.numAttentionHeads}, ${shape.numKeyValueHeads} for keys and values, ${shape.headDim} wide`,
      vocabulary: formatCount(shape.vocabSize),
      ...classFacts(definition),
      'longest sequence': formatCount(shape.maxPositionEmbeddings),
      ...(await textFacts(model)),
      digest: await model.digest(),
    },
    tables: [
      {
        title: 'Linear modules (LoRA targets)',
        head: ['name', 'times', 'in', 'out'],
        rows: linears(model),
        numeric: true,
      },
    ],
  };
}

/** For an encoder without head, whose number of classes is not the checkpoint's business. */
const UNKNOWN_CLASSES = ['0', '1'];
const SHOWN_CLASSES = 12;

function classFacts({ classifier }: ModelDefinition): Record<string, string> {
  if (classifier === undefined) return {};
  const { labels, freshModules } = classifier;
  if (freshModules.length > 0) return { classes: `no head; a run adds ${freshModules.join(' and ')}` };
  const shown = labels.slice(0, SHOWN_CLASSES).join(', ');
  return { classes: `${labels.length}: ${shown}${labels.length > SHOWN_CLASSES ? ' …' : ''}` };
}

async function textFacts({ folder, eosTokenIds }: Model): Promise<Record<string, string>> {
  const loaded = await loadTokenizer(folder).catch(reasonOnly);
  if (typeof loaded === 'string') return { tokenizer: loaded };
  const ends = eosTokenIds.map((id) =>
    JSON.stringify(loaded.tokenizer.decode([id], { skipSpecialTokens: false })),
  );
  return {
    tokenizer: `${formatCount(loaded.tokenizer.vocabSize)} tokens, ends with ${ends.join(' or ') || 'nothing'}`,
    'chat template': loaded.chatTemplate === undefined ? 'none' : 'yes',
  };
}

/** A model without a readable tokenizer is still worth looking at. */
function reasonOnly(error: unknown): LoadedTokenizer | string {
  if (error instanceof HeadwaterError) return error.message;
  throw error;
}

function linears({ definition }: Model): string[][] {
  const groups = new Map<string, string[]>();
  for (const { module, inFeatures, outFeatures } of definition.linears) {
    const name = module.split('.').at(-1) ?? module;
    const key = `${name} ${inFeatures} ${outFeatures}`;
    const known = groups.get(key);
    groups.set(key, [name, String(Number(known?.[1] ?? 0) + 1), String(inFeatures), String(outFeatures)]);
  }
  return [...groups.values()];
}
