/** Public examples of a run: read and tokenized where the run is led, so that owners need no file of them. */

import { HeadwaterError } from '../base/errors.ts';
import { loadDataset } from '../data/dataset-node.ts';
import { type TextCodec, tokenizeExamples } from '../data/tokenize.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { RunRegistries } from './records.ts';
import { type SharedExamples, shareExamples } from './shared-examples.ts';

/** Undefined where the recipe names none. Throws DATA_*, OPTION_INVALID. */
export async function loadPublicExamples(
  { data }: Pick<Recipe, 'data'>,
  registries: Pick<RunRegistries, 'schemas'>,
  codec: TextCodec,
): Promise<SharedExamples | undefined> {
  if (data.public === undefined) return undefined;
  const { schema = data.schema, ...source } = data.public;
  const examples = await loadDataset(source, schema, {}, '.', registries.schemas);
  const { tokenized } = tokenizeExamples(examples, codec, { maxLength: data.maxLength });
  if (tokenized.length > 0) return shareExamples(tokenized);
  throw new HeadwaterError('DATA_INVALID', 'no public example has a target left', {
    where: [source.files].flat().join(', '),
    hint: 'Raise data.maxLength, or check data.public.schema.',
  });
}

export function numExamplesOf(shared: SharedExamples | undefined): number {
  return shared === undefined ? 0 : shared.classIds.byteLength / 4;
}
