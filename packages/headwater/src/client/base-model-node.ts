/**
 * The base model of a run on this machine: the owner's own copy, the coordinator's files, or the hub. Wherever it comes
 * from, its weights and its tokenizer are those that the operator signed.
 */

import { join } from 'node:path';
import { HeadwaterError } from '../base/errors.ts';
import type { Manifest } from '../federation/wire/messages.ts';
import { isHubId } from '../federation/wire/model-file.ts';
import { codecOf } from '../jobs/prepare.ts';
import { openModel } from '../models/checkpoint-node.ts';
import type { HubProgress } from '../models/hub-node.ts';
import type { Model } from '../models/model.ts';
import { computingDigest, type QuantizationChoice } from '../models/quantization-choice.ts';
import { definitionOf } from '../models/registry.ts';
import { readJson } from '../models/shards-node.ts';
import { loadTokenizer } from '../models/tokenizer-node.ts';
import { quantization } from '../recipe/schema.ts';
import type { ModelTexts } from './look.ts';
import { cachedModel, differingFiles, isWeights, type ModelCache } from './model-cache-node.ts';

export interface BaseModelOptions extends ModelCache {
  /** Folder or hub id; omitted: what the coordinator offers, else the hub id that it names. */
  readonly model?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onHub?: ((progress: HubProgress) => void) | undefined;
}

/** Throws MODEL_*, HUB_FAILED, JOIN_REFUSED, STORAGE_FAILED, what fetching throws. */
export async function openBaseModel(manifest: Manifest, options: BaseModelOptions): Promise<Model> {
  const wanted = manifest.model;
  const place = await placeOf(manifest, options);
  const { signal, onHub } = options;
  const model = await openModel(place, {
    labels: labelsOf(manifest),
    ...(signal === undefined ? {} : { signal }),
    ...(onHub === undefined ? {} : { onProgress: onHub }),
  });
  const digest = computingDigest(await model.digest(), quantizationOf(manifest));
  if (digest !== wanted.digest)
    throw differs(place, `its digest is ${digest}, the run’s is ${wanted.digest}`);
  const texts = wanted.files.filter(
    (file) => !isWeights(file) && /^(tokenizer|chat_template)/.test(file.path),
  );
  const different = await differingFiles(texts, model.folder);
  if (different.length > 0) throw differs(place, `its ${different.join(', ')} differ from those of the run`);
  return model;
}

/** Throws like `openBaseModel`. */
export async function openModelTexts(manifest: Manifest, options: BaseModelOptions): Promise<ModelTexts> {
  const { digest, files } = manifest.model;
  if (options.model !== undefined || files.length === 0) {
    const model = await openBaseModel(manifest, options);
    return { codec: await codecOf(model), definition: model.definition };
  }
  const texts = files.filter((file) => !isWeights(file));
  const folder = await cachedModel({ ...manifest.model, digest: `${digest}-text`, files: texts }, options);
  const config = join(folder, 'config.json');
  const definition = definitionOf(await readJson(config), config, { labels: labelsOf(manifest) });
  return { codec: { ...(await loadTokenizer(folder)), labels: definition.classifier?.labels }, definition };
}

/** In how many bits the run computes; its weights are made of the checkpoint's. */
function quantizationOf({ recipe }: Manifest): QuantizationChoice {
  return quantization.parse(recipe.quantization ?? {});
}

/** Classes of a classifier, where the run names them. The manifest's recipe was checked when it was carried over. */
function labelsOf({ recipe: { labels } }: Manifest): readonly string[] | undefined {
  return Array.isArray(labels) ? labels.map(String) : undefined;
}

async function placeOf({ model }: Manifest, options: BaseModelOptions): Promise<string> {
  if (options.model !== undefined) return options.model;
  if (model.files.length > 0) return cachedModel(model, options);
  if (isHubId(model.source)) return model.source;
  throw new HeadwaterError(
    'MODEL_NOT_FOUND',
    `the coordinator does not hand out its model (${model.source})`,
    {
      hint: 'Get a copy of it and give its folder with --model.',
    },
  );
}

function differs(where: string, what: string): HeadwaterError {
  return new HeadwaterError('MODEL_INVALID', `this is not the base model of the run: ${what}`, {
    where,
    hint: 'Leave --model out to take the coordinator’s copy, or get the same version of the model.',
  });
}
