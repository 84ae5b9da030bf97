/** What evaluation tasks use beside held-out examples, from the files that the recipe names. */

import { loadDataset } from '../data/dataset-node.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { TaskContext } from '../training/tasks/task.ts';
import type { RunRegistries } from './records.ts';

/** What tasks use beside the held-out examples. Throws DATA_*, OPTION_INVALID. */
export async function loadTaskContext({ data }: Recipe, registries: RunRegistries): Promise<TaskContext> {
  const { shots, general } = data;
  return {
    shots: shots === undefined ? [] : await loadDataset(shots, data.schema, data, '.', registries.schemas),
    general:
      general === undefined ? [] : await loadDataset(general, general.schema, {}, '.', registries.schemas),
  };
}
