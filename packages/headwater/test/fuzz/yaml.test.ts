/** Recipes and `--set` values as YAML against hostile documents and mutated good recipes. */

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeadwaterError } from '../../src/base/errors.ts';
import { builtinRegistries } from '../../src/jobs/records.ts';
import { recipeFromText } from '../../src/recipe/load-node.ts';
import { expectUnpolluted, mutatedBytes, PARAMETERS } from './support.ts';
import { yamlCorpus } from './yaml-corpus.ts';

const recipeFile = new URL('../../recipes/quickstart.yaml', import.meta.url);
const good = readFileSync(recipeFile, 'utf8');

/** The mistakes of a recipe; undefined when it is a good one. */
function mistakes(text: string, overrides: string[] = []): string | undefined {
  try {
    recipeFromText(text, { registries: builtinRegistries, overrides });
    return undefined;
  } catch (error) {
    if (error instanceof HeadwaterError && ['RECIPE_INVALID', 'OPTION_INVALID'].includes(error.code))
      return error.message;
    throw error;
  }
}

describe('recipes', () => {
  it('the recipe that is mutated is a good one', () => {
    expect(mistakes(good)).toBeUndefined();
  });

  it('has twenty hostile documents', () => {
    expect(yamlCorpus).toHaveLength(20);
  });

  it.each(yamlCorpus.map(({ id, text }) => [id, text] as const))('%s', (_, text) => {
    expect(mistakes(text)).toMatch(/mistake/);
    expectUnpolluted();
  });

  it.each(yamlCorpus.map(({ id, text }) => [id, text] as const))('%s, given with --set', (_, text) => {
    mistakes(good, [`description=${text}`]);
    mistakes(good, [`${text}=1`]);
    expectUnpolluted();
  });

  it('mutations of a good recipe are good or have mistakes', () => {
    fc.assert(
      fc.property(mutatedBytes([new TextEncoder().encode(good)]), (bytes) => {
        mistakes(new TextDecoder().decode(bytes));
      }),
      { ...PARAMETERS, numRuns: 400 },
    );
    expectUnpolluted();
  });

  it('any text is a good recipe or has mistakes', () => {
    const line = fc.stringMatching(/^[ \t]{0,4}[-?&*!|>'"%@{}[\],a-z0-9:# ]{0,20}$/);
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(line, { maxLength: 12 }).map((lines) => lines.join('\n')),
        ),
        (text) => {
          mistakes(text);
        },
      ),
      PARAMETERS,
    );
    expectUnpolluted();
  });
});
