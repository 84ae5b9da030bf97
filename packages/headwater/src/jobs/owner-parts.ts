/**
 * An owner's examples and how they are split: the same ones each time, and those that a simulation would give the owner. Where
 * its files lie, and how they are read, is the caller's business.
 */

import type { DatasetColumns } from '../data/dataset.ts';
import { stratifiedSplit } from '../data/split.ts';
import type { Example } from '../data/types.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { HeldOutParts } from './held-out.ts';

export interface OwnerSources<Files> {
  readonly train: Files;
  /** Held-out files; where one is missing, the recipe's fraction is split off. */
  readonly validation?: Files | undefined;
  readonly test?: Files | undefined;
}

/** The recipe's columns, found in the owner's by its mapping. */
export function ownerColumns(
  { labelColumn, groupColumn, optionsColumn }: Recipe['data'],
  mapping: DatasetColumns['mapping'],
): DatasetColumns {
  return { labelColumn, groupColumn, optionsColumn, mapping };
}

/** Throws what `load` throws. */
export async function ownerParts<Files>(
  { data, seed }: Pick<Recipe, 'data' | 'seed'>,
  owner: string,
  { train, validation, test }: OwnerSources<Files>,
  load: (files: Files) => Promise<readonly Example[]>,
): Promise<HeldOutParts> {
  const own = async (files: Files): Promise<Example[]> =>
    (await load(files)).map((example) => ({ ...example, meta: { ...example.meta, owner } }));
  const given = await own(train);
  const fractions = {
    validation: validation === undefined ? data.validationFraction : 0,
    test: test === undefined ? data.testFraction : 0,
  };
  const split = stratifiedSplit(given, fractions, seed);
  const at = (positions: readonly number[]) => positions.map((position) => given[position]!);
  return {
    train: at(split.train),
    validation: validation === undefined ? at(split.validation) : await own(validation),
    test: test === undefined ? at(split.test) : await own(test),
  };
}
