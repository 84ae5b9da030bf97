/**
 * Whether the helper of a new run is who its recipe names: owners agree to the key, so that a wrong one could not be mended once the
 * run is signed, and would be noticed when everybody has trained a round.
 */

import { HeadwaterError, messageOf } from '../base/errors.ts';
import { type AskHelperOptions, askHelperKey } from '../coordinator/http/ask-helper.ts';
import type { Recipe } from '../recipe/schema.ts';

/** A warning where nobody answers yet. Throws RECIPE_INVALID for another key, OPTION_INVALID for an address that may not be used. */
export async function checkHelper(
  { privacy }: Pick<Recipe, 'privacy'>,
  options: AskHelperOptions,
): Promise<string | undefined> {
  const helper = privacy?.secureAggregation?.helper;
  if (helper === undefined) return undefined;
  const { url, key } = helper;
  try {
    const found = await askHelperKey(url, options);
    if (found === key) return undefined;
    throw new HeadwaterError('RECIPE_INVALID', `the helper at ${url} has the key ${found}, not ${key}`, {
      where: 'privacy.secureAggregation.helper.key',
      hint: 'Put the key there that `headwater helper` prints for its operator.',
    });
  } catch (cause) {
    if (cause instanceof HeadwaterError) throw cause;
    return `the helper at ${url} does not answer yet (${messageOf(cause)}): rounds end only when it does`;
  }
}
