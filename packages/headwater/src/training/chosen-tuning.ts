/** The tuning kind that a caller of the library names: looked up, its options parsed, bound to a model. No files. */

import { HeadwaterError } from '../base/errors.ts';
import { didYouMean } from '../base/suggest.ts';
import type { BoundTuning, ModelLayout, TuningKind } from '../tuning/kind.ts';
import { tuningKinds } from '../tuning/registry.ts';

export interface TuningChoice {
  /** What is trained: `{ kind: 'dora', rank: 8 }`, with the options of a recipe's `tuning`. */
  readonly tuning?: { readonly kind: string; readonly [option: string]: unknown };
  /** PEFT's LoRA settings, short for `tuning: { kind: 'lora', … }`; rank 8, alpha 16 and all linear modules when omitted. */
  readonly lora?: Readonly<Record<string, unknown>>;
  /** Kinds of plug-ins, beside those that come with Headwater. */
  readonly tuningKinds?: readonly TuningKind<unknown>[];
}

/** Throws OPTION_INVALID for an unknown kind, wrong options, and targets that the model does not have. */
export function chosenTuning(choice: TuningChoice, layout: ModelLayout): BoundTuning {
  if (choice.tuning !== undefined && choice.lora !== undefined)
    throw new HeadwaterError('OPTION_INVALID', 'train() got both tuning and lora', {
      hint: 'lora is short for tuning: { kind: "lora", … }; give one of them.',
    });
  const plain = { kind: 'lora', rank: 8, alpha: 16, targetModules: 'all-linear', ...choice.lora };
  const { kind: id, ...options } = choice.tuning ?? plain;
  const kinds = new Map([
    ...tuningKinds,
    ...(choice.tuningKinds ?? []).map((kind) => [kind.id, kind] as const),
  ]);
  const kind = kinds.get(id);
  if (kind === undefined)
    throw new HeadwaterError(
      'OPTION_INVALID',
      `unknown tuning kind "${id}"; ${didYouMean(id, [...kinds.keys()])}`,
    );
  const parsed = kind.options.safeParse(options);
  if (parsed.success) return kind.bind(parsed.data, layout);
  const issues = parsed.error.issues.map(({ path, message }) => [...path, message].join(': '));
  throw new HeadwaterError('OPTION_INVALID', `tuning kind "${id}": ${issues.join('; ')}`);
}
