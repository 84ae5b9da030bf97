/** Paths of a recipe are relative to its file; a resolved recipe has absolute ones. Hub ids `owner/name` stay as they are. */

import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, resolve } from 'node:path';
import type { Recipe } from './schema.ts';

type DataSource = Recipe['data']['train'];

export function withAbsolutePaths(recipe: Recipe, folder: string): Recipe {
  const { data, quantization } = recipe;
  return {
    ...recipe,
    model: modelPath(recipe.model, folder),
    ...(recipe.adapter === undefined ? {} : { adapter: absolute(recipe.adapter, folder) }),
    ...(quantization.folder === undefined
      ? {}
      : { quantization: { ...quantization, folder: absolute(quantization.folder, folder) } }),
    plugins: recipe.plugins.map((file) => absolute(file, folder)),
    data: {
      ...data,
      train: source(data.train, folder),
      ...(data.validation === undefined ? {} : { validation: source(data.validation, folder) }),
      ...(data.test === undefined ? {} : { test: source(data.test, folder) }),
      ...(data.shots === undefined ? {} : { shots: source(data.shots, folder) }),
      ...(data.public === undefined ? {} : { public: source(data.public, folder) }),
      ...(data.general === undefined ? {} : { general: source(data.general, folder) }),
    },
  };
}

function source<S extends DataSource>(data: S, folder: string): S {
  const files = typeof data.files === 'string' ? [data.files] : data.files;
  return { ...data, files: files.map((file) => absolute(file, folder)) };
}

function absolute(path: string, folder: string): string {
  return path.startsWith('~/') ? resolve(homedir(), path.slice(2)) : resolve(folder, path);
}

/** A path when it is written as one or exists; otherwise `owner/name[@revision]` is a hub id. */
function modelPath(model: string, folder: string): string {
  const writtenAsPath = /^[.~]/.test(model) || isAbsolute(model);
  const hubId = /^[\w.-]+\/[\w.-]+(@[\w./-]+)?$/.test(model);
  if (!writtenAsPath && hubId && !existsSync(resolve(folder, model))) return model;
  return absolute(model, folder);
}
