/** An owner's data as the model would see them, and what would leave: shown before anything is joined. Pure. */

import { type TextCodec, type TokenizeReport, tokenizeExamples } from '../data/tokenize.ts';
import type { TokenizedExample } from '../data/types.ts';
import { encodedUpdateBytes } from '../federation/compression/encode.ts';
import type { Manifest } from '../federation/wire/messages.ts';
import type { HeldOutParts } from '../jobs/held-out.ts';
import { bindRecipeCompression, bindRecipeMethod, bindTuning, type RunRegistries } from '../jobs/records.ts';
import type { ModelDefinition } from '../models/model.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import type { Recipe } from '../recipe/schema.ts';
import { createPolicy, type PolicyRules } from './policy.ts';

/** The recipe as it is carried out here, and the owner's examples. */
export interface OwnerRun {
  readonly recipe: Recipe;
  readonly registries: RunRegistries;
  readonly parts: HeldOutParts;
}

/** What turns text into tokens, and the shapes of the model. */
export interface ModelTexts {
  readonly codec: TextCodec;
  readonly definition: ModelDefinition;
}

export interface ShownPart {
  readonly text: string;
  /** It is learnt: a target of the loss. */
  readonly supervised: boolean;
}

export interface Look {
  readonly recipe: Recipe;
  /** Why the policy refuses it; empty: it does not. */
  readonly reasons: readonly string[];
  /** The first training examples as the model would see them. */
  readonly examples: readonly { readonly where: string; readonly parts: readonly ShownPart[] }[];
  /** Of the training examples. */
  readonly tokenization: TokenizeReport;
  readonly split: { readonly train: number; readonly validation: number; readonly test: number };
  /** Of one update, without what the transport saves. */
  readonly updateBytes: number;
  /** Figures that the run asks for: those that the policy lets out, and those that it keeps here. */
  readonly metrics: { readonly told: readonly string[]; readonly kept: readonly string[] };
}

const SHOWN_EXAMPLES = 3;

export function lookAt(
  rules: PolicyRules,
  manifest: Manifest,
  run: OwnerRun,
  { codec, definition }: ModelTexts,
  owner: string,
): Look {
  const { recipe, parts } = run;
  const { maxLength } = recipe.data;
  const policy = createPolicy(rules);
  const tokenized = tokenizeExamples(parts.train, codec, { maxLength });
  const shown = tokenized.tokenized.slice(0, SHOWN_EXAMPLES);
  return {
    recipe,
    reasons: policy.accepts(manifest),
    examples: shown.map((example, i) => ({
      where: parts.train[tokenized.source[i]!]!.meta.where,
      parts: [...partsOf(example, codec.tokenizer), ...classOf(example)],
    })),
    tokenization: tokenized.report,
    split: {
      train: parts.train.length,
      validation: parts.validation.length,
      test: parts.test.length,
    },
    updateBytes: updateBytesOf(run, definition, owner),
    metrics: {
      told: manifest.metrics.filter((metric) => policy.mayLeave(metric)),
      kept: manifest.metrics.filter((metric) => !policy.mayLeave(metric)),
    },
  };
}

/** What is learnt of a text with a class. */
function classOf({ classId, label }: TokenizedExample): ShownPart[] {
  return classId === undefined ? [] : [{ text: label ?? String(classId), supervised: true }];
}

/** Runs of tokens that are learnt, or not, as text. */
function partsOf({ tokens, supervised }: TokenizedExample, tokenizer: Tokenizer): ShownPart[] {
  const parts: ShownPart[] = [];
  for (let begin = 0; begin < tokens.length; ) {
    let end = begin + 1;
    while (end < tokens.length && supervised[end] === supervised[begin]) end++;
    const text = tokenizer.decode(tokens.subarray(begin, end), { skipSpecialTokens: false });
    parts.push({ text, supervised: supervised[begin] === 1 });
    begin = end;
  }
  return parts;
}

function updateBytesOf({ recipe, registries }: OwnerRun, definition: ModelDefinition, owner: string): number {
  const { tensors } = bindTuning(recipe, definition, registries);
  const travelling = bindRecipeMethod(recipe, registries).wire(tensors, 1, owner);
  return encodedUpdateBytes(bindRecipeCompression(recipe, registries), travelling);
}
