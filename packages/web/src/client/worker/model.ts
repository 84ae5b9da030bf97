/** The base model of a run in this browser: files by digest from the coordinator, kept, and opened from where they are kept. */

import { HeadwaterError } from '@headwater/base/errors.ts';
import type { ModelTexts } from '@headwater/client/look.ts';
import type { FetchBlob } from '@headwater/client/ports.ts';
import type { TextCodec } from '@headwater/data/tokenize.ts';
import type { Manifest } from '@headwater/federation/wire/messages.ts';
import { isModelFile } from '@headwater/federation/wire/model-file.ts';
import type { Model, ModelDefinition } from '@headwater/models/model.ts';
import { blockFormatOf } from '@headwater/models/quantization-choice.ts';
import { definitionOf } from '@headwater/models/registry.ts';
import { checkVocabulary } from '@headwater/models/tokenizer.ts';
import { type TextFolder, tokenizerIn } from '@headwater/models/tokenizer-folder.ts';
import type { Recipe } from '@headwater/recipe/schema.ts';
import { type BackendChoice, weightFormat } from '../../engine/backend.ts';
import type { BlobStore } from '../../engine/worker/blob-store.ts';
import { quantizedInTab } from '../../engine/worker/quantized-model.ts';
import { openStoredModel, readStoredWeight } from '../../engine/worker/stored-model.ts';
import { weightsAs } from '../../engine/worker/weight-format.ts';
import type { TabEvent } from '../messages.ts';

type ModelFile = Manifest['model']['files'][number];

export interface ModelParts {
  readonly manifest: Manifest;
  readonly store: BlobStore;
  readonly fetchBlob: FetchBlob;
  readonly signal: AbortSignal;
  readonly onEvent: (event: TabEvent) => void;
}

/** Tokenizer and shapes, without the weights. Throws MODEL_*, TOKENIZER_INVALID, STORAGE_FAILED, what fetching throws. */
export async function openTexts(parts: ModelParts): Promise<ModelTexts> {
  const { manifest, store } = parts;
  const texts = filesOf(manifest).filter(({ path }) => !isWeights(path));
  await ensure(parts, texts);
  const { source } = manifest.model;
  const folder = textsOf(store, source, texts);
  const config = await folder.read('config.json');
  if (config === undefined)
    throw new HeadwaterError('MODEL_NOT_FOUND', 'the model has no config.json', { where: source });
  const definition = definitionOf(JSON.parse(config), `${source}/config.json`, labelsOption(manifest));
  return { codec: await codecOf(folder, definition), definition };
}

export interface BaseModel {
  readonly model: Model;
  readonly codec: TextCodec;
  /** A base weight as float32, before a backend's form. */
  readonly baseValue: (name: string) => Promise<Float32Array>;
}

/** Everything, in the bits that the recipe wants of tabs and the form that the backend reads. Throws like `openTexts`. */
export async function openBase(parts: ModelParts, recipe: Recipe, choice: BackendChoice): Promise<BaseModel> {
  const { manifest, store } = parts;
  const { source } = manifest.model;
  const files = filesOf(manifest);
  await ensure(parts, files);
  parts.onEvent({ type: 'preparing', what: 'model' });
  const stored = await openStoredModel(store, { source, files, ...labelsOption(manifest) });
  const format = blockFormatOf(recipe.quantization);
  const rounded = format === undefined ? stored : await quantizedInTab(store, stored, format);
  const model = weightsAs(rounded, weightFormat(recipe.deployment.tabWeights, choice));
  return {
    model,
    codec: await codecOf(textsOf(store, source, files), model.definition),
    baseValue: (name) => readStoredWeight(store, rounded, name),
  };
}

/** Classes of a classifier, where the run names them. The manifest's recipe was checked when it was carried over. */
function labelsOption({ recipe: { labels } }: Manifest): { readonly labels?: readonly string[] } {
  return Array.isArray(labels) ? { labels: labels.map(String) } : {};
}

function isWeights(path: string): boolean {
  return path.endsWith('.safetensors');
}

function filesOf({ model: { files, source } }: Manifest): readonly ModelFile[] {
  if (files.length === 0)
    throw new HeadwaterError('MODEL_NOT_FOUND', `the coordinator does not hand out its model (${source})`, {
      hint: 'A browser takes the model from the coordinator alone. Ask the operator to hand it out, or join with the command line.',
    });
  const strange = files.find(({ path }) => !isModelFile(path));
  if (strange === undefined) return files;
  throw new HeadwaterError(
    'JOIN_REFUSED',
    `the model of the run has a file ${JSON.stringify(strange.path)}, which no model needs`,
    { hint: 'Tell the operator. Nothing was stored.' },
  );
}

async function ensure(
  { store, fetchBlob, signal, onEvent }: ModelParts,
  files: readonly ModelFile[],
): Promise<void> {
  const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let doneBytes = 0;
  for (const file of files) {
    onEvent({ type: 'model-file', path: file.path, doneBytes, totalBytes });
    await store.ensure(file, fetchBlob, signal);
    doneBytes += file.bytes;
  }
  onEvent({ type: 'model-file', path: '', doneBytes, totalBytes });
}

function textsOf(store: BlobStore, where: string, files: readonly ModelFile[]): TextFolder {
  return {
    where,
    read: async (name) => {
      const file = files.find(({ path }) => path === name);
      return file === undefined ? undefined : new TextDecoder().decode(await store.read(file.digest));
    },
    names: async (below) => (below === '' ? files.map(({ path }) => path) : []),
  };
}

async function codecOf(folder: TextFolder, definition: ModelDefinition): Promise<TextCodec> {
  const codec = await tokenizerIn(folder);
  checkVocabulary(codec.tokenizer, definition.shape.vocabSize, folder.where);
  return { ...codec, labels: definition.classifier?.labels };
}
