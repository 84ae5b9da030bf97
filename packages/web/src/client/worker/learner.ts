/** The model of a run with what is tuned of it, on this browser's engine: what training, scoring and chatting have in common. */

import type { Params } from '@headwater/base/tensor.ts';
import type { TextCodec } from '@headwater/data/tokenize.ts';
import type { BoundCompression } from '@headwater/federation/compression/compression.ts';
import type { BoundMethod } from '@headwater/federation/method.ts';
import type { TextFacts } from '@headwater/jobs/client-round.ts';
import { freshParams } from '@headwater/jobs/fresh-params.ts';
import {
  bindObjective,
  bindRecipeCompression,
  bindRecipeMethod,
  bindTuning,
  type RunRegistries,
} from '@headwater/jobs/records.ts';
import type { Model } from '@headwater/models/model.ts';
import type { Recipe } from '@headwater/recipe/schema.ts';
import type { Engine } from '@headwater/training/engine.ts';
import { createEngine } from '@headwater/training/engine-core.ts';
import type { BoundTuning } from '@headwater/tuning/kind.ts';
import type { BackendChoice } from '../../engine/backend.ts';
import { createWebExecutor } from '../../engine/worker/executor.ts';
import { convertingOpener } from '../../engine/worker/weight-format.ts';
import { type ModelParts, openBase } from './model.ts';

export interface Learner {
  readonly recipe: Recipe;
  readonly registries: RunRegistries;
  readonly model: Model;
  readonly codec: TextCodec;
  readonly tuning: BoundTuning;
  readonly method: BoundMethod;
  readonly compression: BoundCompression;
  readonly engine: Engine;
  readonly text: TextFacts | undefined;
  /** What the run starts from, where it starts from no adapter. */
  freshParams(): Promise<Params>;
}

/** Throws what opening a model throws, DEVICE_UNAVAILABLE. */
export async function openLearner(
  parts: ModelParts,
  { recipe, registries }: Pick<Learner, 'recipe' | 'registries'>,
  choice: BackendChoice,
): Promise<Learner> {
  const { store } = parts;
  const { model, codec, baseValue } = await openBase(parts, recipe, choice);
  const tuning = bindTuning(recipe, model.definition, registries);
  const method = bindRecipeMethod(recipe, registries);
  const executor = await createWebExecutor({
    choice,
    openFile: convertingOpener((path) => store.open(path)),
    prepack: recipe.frozenWeights === 'packed',
  });
  const objective = bindObjective(recipe, registries);
  const engine = createEngine({ model, tuning, executor, recompute: recipe.training.recompute, objective });
  const encode = async (text: string) => codec.tokenizer.encode(text);
  const { seed } = recipe;
  return {
    ...{ recipe, registries, model, codec, tuning, method, engine },
    compression: bindRecipeCompression(recipe, registries),
    text: textFacts(model, encode),
    freshParams: () => freshParams({ seed, tuning, method, baseValue, encode, publicExamples: [] }),
  };
}

function textFacts({ definition, eosTokenIds }: Model, encode: TextFacts['encode']): TextFacts | undefined {
  if (definition.objective !== 'causal-lm') return undefined;
  return { encode, endTokens: eosTokenIds, maxTokens: definition.shape.maxPositionEmbeddings };
}
