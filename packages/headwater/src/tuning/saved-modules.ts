/**
 * Whole modules that are trained beside an adapter, by PEFT's rules for `modules_to_save`: every module whose name ends
 * with an entry, and always the head of a classifier. Every kind composes this piece.
 */

import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import { nearest } from '../base/suggest.ts';
import type { ModelLayout } from './kind.ts';
import type { TrainedParameter } from './trained-parameters.ts';

export const modulesToSaveOption = z
  .array(z.string().min(1))
  .optional()
  .describe(
    'Modules, or endings of their names, trained whole beside the adapter; the head of a classifier always is.',
  );

export interface SavedModules {
  /** Full module names, sorted: what PEFT's `modules_to_save` says when it is spelled out. */
  readonly modules: readonly string[];
  readonly parameters: readonly TrainedParameter[];
}

/** Throws OPTION_INVALID for an entry that names nothing, and for a matrix that two modules share. */
export function savedModules(wanted: readonly string[] = [], layout: ModelLayout): SavedModules {
  const all = moduleNames(layout);
  for (const entry of wanted)
    if (!all.some((name) => name.endsWith(entry))) throw unmatched(entry, all, layout);
  const entries = [...wanted, ...layout.headModules];
  const modules = all.filter((name) => entries.some((entry) => name.endsWith(entry))).sort();
  if (modules.includes(layout.tokenEmbedding) && isTied(layout)) throw tied(layout.tokenEmbedding);
  const parameters = [...layout.parameters]
    .filter(([name]) => isWithin(name, modules))
    .map(([parameter, shape]) => ({ parameter, tensor: `base_model.model.${parameter}`, shape }));
  return { modules, parameters };
}

/** Entries that name a module of this model: PEFT lists `score` beside `classifier`, whichever the model has. */
export function withoutIdleModules<T extends { readonly modulesToSave?: readonly string[] | undefined }>(
  options: T,
  layout: ModelLayout,
): T {
  if (options.modulesToSave === undefined) return options;
  const all = moduleNames(layout);
  const modulesToSave = options.modulesToSave.filter((entry) => all.some((name) => name.endsWith(entry)));
  return { ...options, modulesToSave };
}

/** Linear modules that are not trained whole: what an adapter may target. */
export function adaptable(layout: ModelLayout, saved: SavedModules): ModelLayout['linears'] {
  return layout.linears.filter(({ module }) => !isWithin(`${module}.weight`, saved.modules));
}

function isWithin(parameter: string, modules: readonly string[]): boolean {
  return modules.some((module) => parameter.startsWith(`${module}.`));
}

/** Every module that holds parameters, and those that contain it. */
function moduleNames(layout: ModelLayout): string[] {
  const names = new Set<string>();
  for (const parameter of layout.parameters.keys()) {
    const parts = parameter.split('.');
    for (let length = 1; length < parts.length; length++) names.add(parts.slice(0, length).join('.'));
  }
  return [...names];
}

/** A causal model whose vocabulary matrix is that of its token embedding has no other tensor of V rows. */
function isTied({ objective, parameters, tokenEmbedding, shape }: ModelLayout): boolean {
  if (objective !== 'causal-lm') return false;
  return ![...parameters].some(
    ([name, dims]) => name !== `${tokenEmbedding}.weight` && dims.length === 2 && dims[0] === shape.vocabSize,
  );
}

function tied(module: string): HeadwaterError {
  return new HeadwaterError(
    'OPTION_INVALID',
    `modulesToSave names ${module}, whose matrix is also the vocabulary matrix of this model`,
    {
      hint: 'PEFT would train one of the two and leave the other; train both with kind: layers, embeddings: true.',
    },
  );
}

function unmatched(entry: string, names: readonly string[], layout: ModelLayout): HeadwaterError {
  const endings = [...new Set(names.map((name) => name.split('.').at(-1) as string))];
  const near = nearest(entry, endings);
  const guess = near === undefined ? '' : ` Did you mean "${near}"?`;
  const head = entry === 'lm_head' && isTied(layout);
  return new HeadwaterError(
    'OPTION_INVALID',
    `modulesToSave "${entry}" ends the name of no module of this model`,
    {
      hint: head
        ? `The vocabulary matrix of this model is ${layout.tokenEmbedding}.weight; train it with kind: layers, embeddings: true.`
        : `Modules are named as in the checkpoint, without ".weight".${guess}`,
    },
  );
}
