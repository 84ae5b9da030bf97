/** What differential privacy of single examples asks of a run before it starts: that all that leaves an owner follows from noised steps. Pure. */

import { type ExamplePrivacy, exampleMechanism } from './example-privacy.ts';
import type { BoundMethod } from './method.ts';
import type { SelectionChoice } from './selection/registry.ts';
import type { Weighting } from './weights.ts';

interface Owner {
  readonly owner: string;
  readonly numExamples: number;
}

export interface ExampleFacts {
  readonly rounds: number;
  readonly weighting: Weighting;
  readonly examplePrivacy?: ExamplePrivacy | undefined;
  readonly privacy?: unknown;
  readonly selection?: SelectionChoice | undefined;
  /** Undefined: nobody knows them yet. */
  readonly owners?: readonly Owner[] | undefined;
  /** Optimizer steps of a training. */
  stepsOf(owner: Owner): number;
}

/** One sentence for each, with what to choose instead. */
export function exampleMistakes(facts: ExampleFacts, method: BoundMethod): string[] {
  const { examplePrivacy, privacy, selection, weighting } = facts;
  if (examplePrivacy === undefined) return [];
  const mistakes: string[] = [];
  if (privacy !== undefined)
    mistakes.push('privacy.exampleLevel and privacy.clientLevel protect different units; choose one');
  if (method.exampleLevel !== 'yes')
    mistakes.push(
      `privacy.exampleLevel covers the noised steps of one training, which is not all that ${method.id} sends: ${method.exampleLevel.noBecause}; choose another method, as docs/methods.md tells`,
    );
  if (selection !== undefined)
    mistakes.push(
      `privacy.exampleLevel with federation.selection: ${selection.kind} would choose owners by losses, which are told without noise; set it to uniform`,
    );
  if (weighting === 'tokens')
    mistakes.push(
      'privacy.exampleLevel with federation.weighting: tokens would tell how long the examples are; set it to examples or uniform',
    );
  return [...mistakes, ...budgetMistakes(facts, examplePrivacy)];
}

function budgetMistakes(facts: ExampleFacts, privacy: ExamplePrivacy): string[] {
  const { owners = [] } = facts;
  const { delta } = privacy;
  const largest = owners.reduce((most, { numExamples }) => Math.max(most, numExamples), 0);
  if (delta !== undefined && largest > 0 && delta > 1 / largest)
    return [
      `privacy.exampleLevel.delta is ${delta}, more than one in ${largest} examples of an owner: publishing one of them as it is would count as private; choose less than ${1 / largest}`,
    ];
  const { rounds } = facts;
  const poor = owners.find(
    (owner) => exampleMechanism(privacy, owner, { steps: facts.stepsOf(owner), rounds }).maxTrainings < 1,
  );
  if (poor === undefined) return [];
  return [
    `not even one training of "${poor.owner}" (${poor.numExamples} examples) stays within privacy.exampleLevel.targetEpsilon; raise noiseMultiplier or targetEpsilon, or leave noiseMultiplier out: then it follows`,
  ];
}
