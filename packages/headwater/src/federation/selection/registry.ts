/**
 * The ways to choose owners, by id. A plug-in cannot add one: the cohorts of a run are made again from its journal, which
 * must be readable without the plug-in.
 */

import { assert } from '../../base/errors.ts';
import { oort } from './oort.ts';
import { powerOfChoice } from './power-of-choice.ts';
import type { Candidate, Selection, SelectionContext } from './selection.ts';
import { uniform } from './uniform.ts';

export const selections: ReadonlyMap<string, Selection<unknown>> = new Map(
  [uniform, powerOfChoice, oort].map((selection) => [
    selection.id,
    selection as unknown as Selection<unknown>,
  ]),
);

/** `{ kind, …options }`, as in the recipe and in a plan. */
export interface SelectionChoice {
  readonly kind: string;
  readonly [option: string]: unknown;
}

/** What a plan says: nothing for uniform draws, as plans did before there was a choice. */
export function plannedSelection(choice: SelectionChoice): SelectionChoice | undefined {
  return choice.kind === uniform.id ? undefined : choice;
}

export function chooseOwners(
  { kind, ...options }: SelectionChoice,
  context: SelectionContext,
): readonly Candidate[] {
  const selection = selections.get(kind);
  assert(selection !== undefined, `there is no client selection "${kind}"`);
  return selection.choose(context, selection.options.parse(options));
}
